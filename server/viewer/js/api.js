/** Requests to the service that served this page, and to nothing else. */

/** The token that the page was opened with or that was typed in; without one, the browser's cookie speaks. */
let token = takeTokenFromAddress();

/** The service answered with an error, or could not be reached (`status` 0). */
export class ServiceError extends Error {
  /** @param {number} status @param {string} message @param {any} [body] Of the answer, where it was JSON. */
  constructor(status, message, body = null) {
    super(message);
    this.name = "ServiceError";
    this.status = status;
    this.body = body;
  }
}

/** Read the token once and clear it away: an address is shown, kept and passed on. @returns {string | null} */
function takeTokenFromAddress() {
  const url = new URL(window.location.href);
  const found = url.searchParams.get("token");
  if (found === null) return null;
  url.searchParams.delete("token");
  window.history.replaceState(window.history.state, "", url);
  return found;
}

/**
 * @param {string} path Relative to where this page is served, for example `api/v1/cameras`.
 * @param {Record<string, string | number>} [query]
 * @returns {URL}
 */
export function serviceUrl(path, query = {}) {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, String(value));
  return url;
}

/**
 * @param {string} path @param {Record<string, string | number>} query
 * @returns {string} Address of a WebSocket, over TLS where the page is. It cannot carry headers, so the token is in it.
 */
export function socketUrl(path, query) {
  const url = serviceUrl(path, query);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  if (token !== null) url.searchParams.set("token", token);
  return url.href;
}

/**
 * @param {string} path @param {Record<string, string | number>} [query] @param {RequestInit} [how]
 * @returns {Promise<Response>} An answer that is not an error.
 * @throws {ServiceError} With the service's own reason where it gave one.
 */
export async function request(path, query = {}, how = {}) {
  const response = await ask(path, query, how);
  if (!response.ok) throw await errorOf(response);
  return response;
}

/**
 * @param {string} path @param {Record<string, string | number>} [query] @param {RequestInit} [how]
 * @returns {Promise<Response>} The answer, whatever its status.
 * @throws {ServiceError} If there is none.
 */
export async function ask(path, query = {}, how = {}) {
  const headers = new Headers(how.headers);
  if (token !== null) headers.set("authorization", `Bearer ${token}`);
  try {
    return await fetch(serviceUrl(path, query), { cache: "no-store", ...how, headers });
  } catch {
    throw new ServiceError(0, "Service not reachable");
  }
}

/**
 * @param {string} path @param {Record<string, string | number>} [query]
 * @returns {Promise<any>}
 */
export async function getJson(path, query = {}) {
  return (await request(path, query)).json();
}

/**
 * Show the service a token. It answers the page with a cookie, so that pictures and the next visit need none.
 *
 * @param {string} shown
 * @throws {ServiceError} If it is not the right one.
 */
export async function signIn(shown) {
  if (!/^[!-~]+$/.test(shown)) throw new ServiceError(401, "A token is one word of ASCII letters, digits and signs");
  const before = token;
  token = shown;
  try {
    await request("");
  } catch (error) {
    token = before;
    throw error;
  }
}

/**
 * What the service says is wrong, whichever of the usual fields it says it in.
 *
 * @param {Response} response
 * @returns {Promise<ServiceError>}
 */
async function errorOf(response) {
  if (response.status === 401) return new ServiceError(401, "The service wants its access token");
  const text = await response.text().catch(() => "");
  try {
    const body = JSON.parse(text);
    const reason = body.detail ?? body.message ?? body.error ?? body.reason;
    if (typeof reason === "string") return new ServiceError(response.status, reason, body);
    if (typeof reason?.message === "string") return new ServiceError(response.status, reason.message, body);
  } catch {
    if (text && text.length < 200 && !text.startsWith("<")) return new ServiceError(response.status, text);
  }
  return new ServiceError(response.status, `The service answered with error ${response.status}`);
}
