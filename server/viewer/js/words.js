/** States and numbers in plain words. */

/** @typedef {import("./types.js").CameraInfo} CameraInfo */
/** @typedef {import("./types.js").ConnectionState} ConnectionState */

/** The states without pictures. @type {Record<string, string>} */
const CAMERA_TROUBLES = {
  starting: "Starting",
  stalled: "No new pictures",
  lost: "Camera lost",
  failed: "Camera failed",
  ended: "End of the recording",
};

/** @param {CameraInfo} camera @returns {boolean} True also for a state that this page does not know. */
export function mayHavePictures(camera) {
  return !(camera.state in CAMERA_TROUBLES);
}

/** @param {string} text `late_view` becomes `late view`. */
export function plain(text) {
  return text.replaceAll(/[_-]+/g, " ");
}

/** @param {string} text */
export function capitalized(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** @param {CameraInfo} camera */
export function cameraState(camera) {
  return CAMERA_TROUBLES[camera.state] ?? capitalized(plain(camera.state ?? "unknown"));
}

/** @param {Record<string, number> | undefined} drops @returns {string} Empty where nothing was dropped. */
export function dropsInWords(drops) {
  const causes = Object.entries(drops ?? {}).filter(([, count]) => count > 0);
  if (causes.length === 0) return "";
  const total = causes.reduce((sum, [, count]) => sum + count, 0);
  return `${total.toLocaleString("en")} dropped (${causes.map(([cause, count]) => `${plain(cause)} ${count}`).join(", ")})`;
}

/** @param {ConnectionState} state */
export function connectionInWords(state) {
  if (state.phase === "open") return "Connected";
  if (state.phase === "connecting" && !state.reason) return "Connecting ...";
  const reason = (state.reason || "Service not reachable").replace(/\.$/, "");
  if (state.phase === "connecting") return `${reason} - trying again now`;
  return `${reason} - trying again in ${state.retryInS} s`;
}

/**
 * @param {number | null | undefined} value @param {number} digits @param {string} [unit]
 * @returns {string} An en dash where there is no value.
 */
export function number(value, digits, unit = "") {
  if (value === null || value === undefined || !Number.isFinite(value)) return "\u2013";
  return unit ? `${value.toFixed(digits)}\u202f${unit}` : value.toFixed(digits);
}

/** @param {string | null} id A long id is cut; the whole is for the tooltip. */
export function shortId(id) {
  if (!id) return "\u2013";
  return id.length > 18 ? `${id.slice(0, 16)}\u2026` : id;
}
