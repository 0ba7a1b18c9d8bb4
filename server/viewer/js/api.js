/** Requests to the service that served this page, and to nothing else. */

const token = new URLSearchParams(window.location.search).get("token");

/** The service answered with an error, or could not be reached (`status` 0). */
export class ServiceError extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.name = "ServiceError";
    this.status = status;
  }
}

/**
 * Address of a route, with the page's own token passed on.
 *
 * @param {string} path Relative to where this page is served, for example `api/v1/cameras`.
 * @param {Record<string, string | number>} [query]
 * @returns {URL}
 */
export function serviceUrl(path, query = {}) {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, String(value));
  if (token !== null) url.searchParams.set("token", token);
  return url;
}

/**
 * @param {string} path @param {Record<string, string | number>} query
 * @returns {string} Address of a WebSocket, over TLS where the page is.
 */
export function socketUrl(path, query) {
  const url = serviceUrl(path, query);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

/**
 * @param {string} path @param {Record<string, string | number>} [query] @param {AbortSignal} [signal]
 * @returns {Promise<Response>} An answer that is not an error.
 * @throws {ServiceError} With the service's own reason where it gave one.
 */
export async function request(path, query = {}, signal = undefined) {
  let response;
  try {
    response = await fetch(serviceUrl(path, query), { signal, cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ServiceError(0, "Service not reachable");
  }
  if (!response.ok) throw new ServiceError(response.status, await reasonOf(response));
  return response;
}

/**
 * @param {string} path @param {Record<string, string | number>} [query]
 * @returns {Promise<any>}
 */
export async function getJson(path, query = {}) {
  return (await request(path, query)).json();
}

/**
 * What the service says is wrong, whichever of the usual fields it says it in.
 *
 * @param {Response} response
 * @returns {Promise<string>}
 */
async function reasonOf(response) {
  if (response.status === 401) {
    return "The service wants its access token: open this page with ?token=... at the end of its address";
  }
  const text = await response.text().catch(() => "");
  try {
    const body = JSON.parse(text);
    const reason = body.detail ?? body.message ?? body.error ?? body.reason;
    if (typeof reason === "string") return reason;
    if (typeof reason?.message === "string") return reason.message;
  } catch {
    if (text && text.length < 200 && !text.startsWith("<")) return text;
  }
  return `The service answered with error ${response.status}`;
}
