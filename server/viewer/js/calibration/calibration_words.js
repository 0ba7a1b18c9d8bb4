/** What the service says of calibrations, in words: verdicts of a dry run, versions. Pure. */

import { shortId } from "../words.js";

/** @typedef {{moved_mm: number, turned_deg: number, focal_change_percent: number}} Change */
/** @typedef {{camera: string, level: "ok" | "wait" | "bad", words: string}} Line */
/** @typedef {{level: "ok" | "wait" | "bad", headline: string, lines: Line[]}} Verdict */

/** What a camera that was only bumped does not exceed; a larger change may be another rig's file, or another unit. */
const LARGE = { moved_mm: 100, turned_deg: 15, focal_change_percent: 20 };
/** Below these nothing is worth a number. */
const SMALL = { moved_mm: 0.05, turned_deg: 0.005, focal_change_percent: 0.005 };

/**
 * @param {any} body Of the service's answer to an upload, accepted or refused.
 * @returns {Verdict}
 */
export function verdictOf(body) {
  if (body?.accepted !== true) return refusal(body);
  const changes = /** @type {[string, Change][]} */ (Object.entries(body.changes ?? {}));
  const lines = changes.map(([camera, change]) => changeLine(camera, change));
  for (const camera of body.ignored ?? []) {
    lines.push({ camera, level: "wait", words: "is in the file and not in the service; it is left out" });
  }
  for (const words of body.suspicions ?? []) lines.push({ camera: "", level: "wait", words: String(words) });
  const large = lines.some(({ level }) => level === "wait");
  const version = body.version === null || body.version === undefined ? "" : ` as version ${body.version}`;
  const headline = body.dry_run ? `Can be used (${shortId(body.calibration_id)})` : `In use now${version}`;
  return { level: large ? "wait" : "ok", headline, lines };
}

/** @param {any} body @returns {Verdict} */
function refusal(body) {
  const reasons = /** @type {[string, unknown][]} */ (Object.entries(body?.reasons ?? {}));
  const lines = reasons.flatMap(([camera, why]) =>
    (Array.isArray(why) ? why : [why]).map((words) => /** @type {Line} */ ({ camera, level: "bad", words: String(words) })),
  );
  const detail = typeof body?.detail === "string" && lines.length === 0 ? `: ${body.detail}` : "";
  return { level: "bad", headline: `Refused; the running calibration stays${detail}`, lines };
}

/** @param {string} camera @param {Change} change @returns {Line} */
export function changeLine(camera, change) {
  const beyond = (/** @type {keyof Change} */ name, /** @type {Change} */ limits) => Math.abs(change[name] ?? 0) > limits[name];
  const focal = change.focal_change_percent;
  const words = [
    beyond("moved_mm", SMALL) ? `moved ${change.moved_mm.toFixed(1)}\u202fmm` : "",
    beyond("turned_deg", SMALL) ? `turned ${change.turned_deg.toFixed(2)}\u00b0` : "",
    beyond("focal_change_percent", SMALL) ? `focal length ${focal < 0 ? "\u2212" : "+"}${Math.abs(focal).toFixed(2)}\u202f%` : "",
  ];
  const said = words.filter(Boolean).join(", ") || "as now";
  const large = beyond("moved_mm", LARGE) || beyond("turned_deg", LARGE) || beyond("focal_change_percent", LARGE);
  return { camera, level: large ? "wait" : "ok", words: large ? `${said}: a large change; is it this rig's file?` : said };
}

/**
 * @param {any} version Of `/calibration/history`.
 * @returns {{number: number, id: string, running: boolean, words: string}}
 */
export function versionInWords(version) {
  const sources = /** @type {Record<string, string>} */ ({ start: "from the start", upload: "uploaded", board: "from a board" });
  const source = sources[version.source] ?? String(version.source);
  const created = new Date(version.created);
  const when = Number.isNaN(created.getTime())
    ? ""
    : `, ${created.toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" })}`;
  return {
    number: Number(version.version),
    id: String(version.calibration_id),
    running: version.running === true,
    words: `${source}${when}`,
  };
}

/** @param {string} fileName @returns {string} The likeliest format, by the name's ending. */
export function formatOf(fileName) {
  if (/\.ya?ml$/i.test(fileName)) return /chain/i.test(fileName) ? "kalibr" : "opencv";
  if (/\.toml$/i.test(fileName)) return /camera_array/i.test(fileName) ? "caliscope" : "anipose";
  return "usthand";
}
