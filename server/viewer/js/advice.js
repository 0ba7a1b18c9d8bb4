/** What is wrong now and what to do about it, one line a matter: cameras, speed, engine. Pure. */

import { cameraLevel, cameraTrouble } from "./cameras/camera_words.js";

/** @typedef {import("./types.js").CameraInfo} CameraInfo */
/** @typedef {{id: string, level: "ok" | "wait" | "bad", words: string}} Advice `id` stays while the matter is the same. */
/** @typedef {{frames: number, sets: number, drops: Record<string, number>}} Lately */

/** From so large a share on, dropping is not an odd frame but a machine that is too slow. */
const TOO_MUCH = 0.1;

/**
 * @param {CameraInfo[]} cameras
 * @returns {Advice[]} One for all cameras that are in the same trouble, as at the end of their footage.
 */
export function cameraAdvice(cameras) {
  /** @type {Map<string, {level: Advice["level"], words: string, ids: string[]}>} */
  const troubles = new Map();
  for (const camera of cameras) {
    const level = cameraLevel(camera);
    const words = level === "ok" ? "" : cameraTrouble(camera);
    if (!words) continue;
    const known = troubles.get(`${level} ${words}`) ?? { level, words, ids: [] };
    known.ids.push(camera.id);
    troubles.set(`${level} ${words}`, known);
  }
  return [...troubles.values()].map(({ level, words, ids }) => ({
    id: `camera ${ids.join(" ")}`,
    level,
    words: `${ids.join(", ")}: ${words}`,
  }));
}

/**
 * The hint for a machine that is slower than its cameras: frames skipped to keep up, or whole sets never worked on.
 *
 * @param {Lately | null} lately
 * @returns {Advice[]} At most one.
 */
export function speedAdvice(lately) {
  if (lately === null) return [];
  const { behind = 0, frame_sets_superseded: superseded = 0 } = lately.drops;
  const remedy = "run fewer views, or --model detector-lite";
  const others = Object.entries(lately.drops).reduce(
    (sum, [cause, count]) => sum + (FRAME_CAUSES.has(cause) && cause !== "behind" ? count : 0),
    0,
  );
  if (behind > others && behind > TOO_MUCH * lately.frames) {
    const share = Math.round((100 * behind) / Math.max(1, lately.frames));
    const skipped = `${Math.min(share, 100)} % of the frames are skipped to keep up`;
    return [slow(`This machine is slower than the cameras: ${skipped}; ${remedy}`)];
  }
  if (superseded > TOO_MUCH * (lately.sets + superseded)) {
    const share = Math.round((100 * superseded) / (lately.sets + superseded));
    return [slow(`The engine is slower than the cameras: ${share} % of the frame sets are left out; ${remedy}`)];
  }
  return [];
}

/** Causes that count frames of cameras, and not sets or messages. */
const FRAME_CAUSES = new Set(["behind", "overwritten", "ring_full", "undecodable", "late", "unmatched", "disordered"]);

/** @param {string} words @returns {Advice} */
const slow = (words) => ({ id: "slow", level: "wait", words });

/**
 * @param {Record<string, number>} before Exceptions of the engine by kind that are no news.
 * @param {Record<string, number>} now
 * @returns {Advice[]}
 */
export function engineAdvice(before, now) {
  return Object.entries(now ?? {}).flatMap(([kind, count]) => {
    const more = count - (before[kind] ?? 0);
    if (more <= 0) return [];
    const sets = more === 1 ? "one frame set" : `${more} frame sets`;
    return [{ id: `engine ${kind}`, level: "bad", words: `The engine failed on ${sets} (${kind}); the service's log says where` }];
  });
}
