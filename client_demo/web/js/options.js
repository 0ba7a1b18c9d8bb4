/** What the page was opened with: which service, which way is up, where the hands go. Pure. */

const FORMAT = "msgpack";
const DIALECT = "webxr";
const FIELDS = "joints,covariance";
const HIGHEST_MAX_HZ = 1000;
const LONGEST_PREDICTION_MS = 100;
const LONGEST_DELAY_MS = 500;

/**
 * @typedef {object} Options
 * @property {string} stream Address of the stream.
 * @property {string} service Address of the service, for ordinary requests.
 * @property {boolean} foreign Whether the service is another than the one that serves this page.
 * @property {number | null} delayMs How far behind hands are shown; 0 is each message as it is, null as little as will do.
 * @property {boolean} inTheWorld Whether the hands are shown where the calibration has them, and not before the viewer.
 */

/**
 * @param {string} address Of this page, with its options.
 * @param {string | null} token Of the service; a WebSocket can only carry it in its address.
 * @returns {Options}
 * @throws {Error} With words for people.
 */
export function readOptions(address, token) {
  const page = new URL(address);
  const query = page.searchParams;
  const service = serviceAddress(query.get("server"), page);
  const foreign = service.origin !== page.origin;
  if (foreign && page.protocol === "https:" && service.protocol === "http:") {
    throw new Error("A page that came over https may only use a service behind TLS: give ?server=wss://...");
  }
  const stream = new URL("api/v1/stream", service);
  stream.protocol = service.protocol === "https:" ? "wss:" : "ws:";
  const asked = { format: FORMAT, dialect: DIALECT, fields: FIELDS };
  for (const [name, value] of Object.entries(asked)) stream.searchParams.set(name, value);
  const maxHz = numberOf(query, "max_hz", HIGHEST_MAX_HZ);
  if (maxHz !== null) stream.searchParams.set("max_hz", maxHz);
  const predictMs = numberOf(query, "predict_ms", LONGEST_PREDICTION_MS);
  if (predictMs !== null) stream.searchParams.set("predict_ms", predictMs);
  const up = query.get("up");
  if (up !== null) stream.searchParams.set("up", axisOf(up));
  if (token !== null) stream.searchParams.set("token", token);
  const delayMs = numberOf(query, "delay_ms", LONGEST_DELAY_MS);
  return {
    stream: stream.href,
    service: service.href,
    foreign,
    delayMs: delayMs === null ? null : Number(delayMs),
    inTheWorld: query.get("place") === "world",
  };
}

/**
 * @param {string | null} text `ws://host:port`, `https://host/prefix`, `host:port` or nothing.
 * @param {URL} page
 * @returns {URL} Ends with a slash; http or https.
 */
function serviceAddress(text, page) {
  // Without a name, the service is what serves this page at `client/`.
  if (text === null || text.trim() === "") return new URL("../", page.origin + page.pathname);
  const trimmed = text.trim();
  const scheme = page.protocol === "https:" ? "https:" : "http:";
  const whole = /^[a-z]+:\/\//i.test(trimmed) ? trimmed : `${scheme}//${trimmed}`;
  let url;
  try {
    url = new URL(whole);
  } catch {
    throw new Error(`?server=${trimmed} is no address; give one such as ws://192.168.1.20:8000`);
  }
  const schemes = /** @type {Record<string, string>} */ ({ "ws:": "http:", "wss:": "https:", "http:": "http:", "https:": "https:" });
  if (!(url.protocol in schemes)) throw new Error(`?server=${trimmed} must begin with ws:// or wss://`);
  const path = url.pathname.endsWith("/") ? url.pathname : `${url.pathname}/`;
  return new URL(`${schemes[url.protocol]}//${url.host}${path}`);
}

/** @param {URLSearchParams} query @param {string} name @param {number} most @returns {string | null} */
function numberOf(query, name, most) {
  const text = query.get(name);
  if (text === null || text === "") return null;
  const value = Number(text);
  if (!(value >= 0 && value <= most)) throw new Error(`?${name}=${text} is not a number from 0 to ${most}`);
  return String(value);
}

/** @param {string} text @returns {string} An axis; a plus sign in an address has become a blank. */
function axisOf(text) {
  const axis = text.trim().toLowerCase();
  if (!/^[+-]?[xyz]$/.test(axis)) throw new Error(`?up=${text} is no axis; give one of x, -x, y, -y, z, -z`);
  return axis.length === 1 ? `+${axis}` : axis;
}
