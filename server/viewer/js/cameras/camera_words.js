/** The state of a camera in plain words, with what to do about it. */

import { dropsInWords } from "../drop_causes.js";
import { capitalized, plain } from "../words.js";

/** @typedef {import("../types.js").CameraInfo} CameraInfo */
/** @typedef {"ok" | "wait" | "bad"} Level */
/** @typedef {{level: Level, pictures: boolean, state: string, happened: string, remedy: string}} Kind */

/**
 * What each state means. `happened` and `remedy` are for a service that says neither itself.
 *
 * @type {Record<string, Kind>}
 */
const STATES = {
  streaming: { level: "ok", pictures: true, state: "Streaming", happened: "", remedy: "" },
  starting: {
    level: "wait",
    pictures: false,
    state: "Starting",
    happened: "it is being opened",
    remedy: "if that takes long, check that its device answers",
  },
  stalled: {
    level: "bad",
    pictures: false,
    state: "No new pictures",
    happened: "no new frames",
    remedy: "check its cable",
  },
  lost: { level: "bad", pictures: false, state: "Lost", happened: "it was lost", remedy: "check its cable and its power" },
  failed: {
    level: "bad",
    pictures: false,
    state: "Cannot open",
    happened: "it cannot be opened",
    remedy: "check that it is plugged in and that nothing else uses it",
  },
  miscalibrated: {
    level: "bad",
    pictures: true,
    state: "Moved since it was calibrated",
    happened: "it no longer fits its calibration",
    remedy: "fasten it and calibrate it again",
  },
  suspect: {
    level: "bad",
    pictures: true,
    state: "This or the other camera moved",
    happened: "the cameras no longer fit each other",
    remedy: "see which of them moved, and calibrate it again",
  },
  ended: {
    level: "wait",
    pictures: false,
    state: "End of the recording",
    happened: "its recording has ended",
    remedy: "say loop: true in the rig file to have it begin again",
  },
};

/** States in which the service keeps trying. */
const TRIED_AGAIN = new Set(["stalled", "lost", "failed"]);

/** @param {CameraInfo} camera @returns {Kind} For a state that this page does not know, one that hides nothing. */
function kindOf(camera) {
  const unknown = capitalized(plain(camera.state ?? "unknown"));
  return STATES[camera.state] ?? { level: "ok", pictures: true, state: unknown, happened: "", remedy: "" };
}

/** @param {CameraInfo} camera @returns {boolean} True also for a state that this page does not know. */
export function mayHavePictures(camera) {
  return kindOf(camera).pictures;
}

/** @param {CameraInfo} camera A word or two. */
export function cameraState(camera) {
  return kindOf(camera).state;
}

/** @param {CameraInfo} camera @returns {Level} */
export function cameraLevel(camera) {
  return kindOf(camera).level;
}

/**
 * What is the matter and what to do; the service's own words where it has some, for it knows more.
 *
 * @param {CameraInfo} camera
 * @returns {string} Without the camera's name; empty where all is well.
 */
export function cameraTrouble(camera) {
  const kind = kindOf(camera);
  const said = (camera.message ?? "").trim().replace(/[.;]+$/, "");
  if (!said && !kind.happened) return "";
  const words = said || `${kind.happened}; ${kind.remedy}`;
  return TRIED_AGAIN.has(camera.state) ? `${words}; it is taken back when it returns` : words;
}

/**
 * What else there is to say of a camera, wrong or not: settings that it did not take, drops.
 *
 * @param {CameraInfo} camera
 * @returns {string} Empty where there is nothing.
 */
export function cameraRemarks(camera) {
  const uncalibrated = camera.calibration ? "" : "not calibrated, so it is not used";
  return [...(camera.warnings ?? []), uncalibrated, dropsInWords(camera.drops)].filter(Boolean).join(" \u00b7 ");
}
