/** Numbers, names and the connection's state in plain words. */

/** @typedef {import("./types.js").ConnectionState} ConnectionState */

/** @param {string} text `late_view` becomes `late view`. */
export function plain(text) {
  return text.replaceAll(/[_-]+/g, " ");
}

/** @param {string} text */
export function capitalized(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** @param {ConnectionState} state */
export function connectionInWords(state) {
  if (state.phase === "open") return "Connected";
  if (state.phase === "connecting" && !state.reason) return "Connecting ...";
  const reason = (state.reason || "Service not reachable").replace(/\.$/, "");
  if (state.phase === "connecting") return `${reason} - reconnecting now`;
  return `${reason} - reconnecting in ${state.retryInS} s`;
}

/**
 * @param {number | null | undefined} value @param {number} digits @param {string} [unit]
 * @returns {string} An en dash where there is no value.
 */
export function number(value, digits, unit = "") {
  if (value === null || value === undefined || !Number.isFinite(value)) return "\u2013";
  return unit ? `${value.toFixed(digits)}\u202f${unit}` : value.toFixed(digits);
}

/**
 * No tile is wide enough for more.
 *
 * @param {number | null | undefined} value
 * @returns {string} To a tenth, from 100 ms on whole, and from 10 s on in seconds.
 */
export function milliseconds(value) {
  const size = Math.abs(value ?? 0);
  return size < 9999.5 ? number(value, size < 99.95 ? 1 : 0, "ms") : number((value ?? 0) / 1000, 1, "s");
}

/** @param {string | null} id A long id is cut; the whole is for the tooltip. */
export function shortId(id) {
  if (!id) return "\u2013";
  return id.length > 18 ? `${id.slice(0, 16)}\u2026` : id;
}

/** @param {number} count @param {string} one @param {string} [many] */
export function counted(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}
