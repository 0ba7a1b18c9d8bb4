/** What this service can do, by its own description (`openapi.json`). Pure. */

/** Formats of calibrations that every version reads. */
const KNOWN_FORMATS = ["usthand", "caliscope"];

/** @param {any} openapi @returns {boolean} */
export function canRecord(openapi) {
  return openapi?.paths?.["/api/v1/recordings"]?.post !== undefined;
}

/** @param {any} openapi @returns {string[]} The formats that it lists for uploads, or those that every version reads. */
export function uploadFormats(openapi) {
  const parameters = openapi?.paths?.["/api/v1/calibration"]?.put?.parameters ?? [];
  const schema = parameters.find((/** @type {any} */ each) => each?.name === "format")?.schema;
  const listed = schema?.enum ?? schema?.anyOf?.find((/** @type {any} */ each) => each?.enum)?.enum;
  return Array.isArray(listed) && listed.length ? listed.map(String) : KNOWN_FORMATS;
}
