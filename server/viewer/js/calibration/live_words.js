/** What a live calibration says, in words. Pure. */

import { changeLine } from "./calibration_words.js";

/** @typedef {import("./calibration_words.js").Verdict} Verdict */
/** @typedef {{text: string, cameras: string[]}} Hint */

const SHOWN_HINTS = 3;
const LEVELS = /** @type {Record<string, "ok" | "wait" | "bad">} */ ({ good: "ok", usable: "wait", bad: "bad" });

/** @param {any} session Of `GET /calibration/session`. @returns {string} */
export function stageInWords(session) {
  if (session.state === "solving") return `Solving: ${session.progress ?? "starting"} ...`;
  if (session.error) return `A frame set could not be looked at: ${session.error}`;
  const sights = Object.values(session.cameras ?? {}).reduce((sum, camera) => sum + (camera.sights ?? 0), 0);
  return `Looking for ${session.board}: ${sights} sights in ${session.frame_sets} frame sets`;
}

/** @param {any} session @returns {string[]} What to do next with the board, most needed first. */
export function hintsInWords(session) {
  if (session.state === "solving") return [];
  const hints = /** @type {Hint[]} */ (session.guidance ?? []).map(({ text }) => sentence(text));
  if (hints.length === 0) return ["Enough of everything: solve now, or go on for a surer result."];
  return hints.slice(0, SHOWN_HINTS);
}

/** @param {string} id @param {any} camera One of the session's. @returns {string} */
export function cameraInWords(id, camera) {
  const covered = Math.round(100 * (camera.covered ?? 0));
  const now = camera.corners_px ? "" : camera.refusal ? ` \u2013 ${camera.refusal}` : "";
  return `${id}: ${camera.sights} sights, ${covered}\u202f% covered${now}`;
}

/** @param {any} session @returns {Verdict | null} What came of a solve; null where there was none. */
export function outcomeOf(session) {
  const problems = /** @type {[string, string[]][]} */ (Object.entries(session.problems ?? {}));
  if (problems.length > 0) {
    const lines = problems.flatMap(([camera, whys]) =>
      whys.map((words) => ({ camera, level: /** @type {"bad"} */ ("bad"), words: String(words) })),
    );
    return { level: "bad", headline: "It could not be solved; collect more and try again", lines };
  }
  const result = session.result;
  if (!result) return null;
  const held = result.report?.held_out ?? {};
  const numbers = [
    typeof held.rms_px === "number" ? `${held.rms_px.toFixed(2)}\u202fpx` : "",
    typeof held.neighbour_median_mm === "number" ? `${Math.abs(held.neighbour_median_mm).toFixed(2)}\u202fmm` : "",
  ].filter(Boolean);
  const said = numbers.length ? `, ${numbers.join(" and ")} on sights held out` : "";
  const reasons = /** @type {string[]} */ (result.reasons ?? []).map((words) => ({
    camera: "",
    level: LEVELS[result.verdict] ?? "wait",
    words: sentence(words),
  }));
  const remarks = /** @type {string[]} */ (result.remarks ?? []).map((words) => ({
    camera: "",
    level: /** @type {"wait"} */ ("wait"),
    words: sentence(words),
  }));
  const changes = Object.entries(result.changes ?? {}).map(([camera, change]) => changeLine(camera, /** @type {any} */ (change)));
  return {
    level: LEVELS[result.verdict] ?? "wait",
    headline: `Verdict: ${result.verdict}${said}`,
    lines: [...remarks, ...reasons, ...changes.map((line) => ({ ...line, level: /** @type {"ok"} */ ("ok") }))],
  };
}

/** @param {string} text */
function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
