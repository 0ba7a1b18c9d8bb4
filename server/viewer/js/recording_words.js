/** A recording's state in words. Pure. */

import { counted, plain } from "./words.js";

/**
 * @typedef {object} RecordingView
 * @property {boolean} active Whether it takes what comes, or writes what waits.
 * @property {boolean} stopping
 * @property {string} label Of the button.
 * @property {string} trouble What is wrong with it and what to do; empty where nothing is.
 */

/** @param {any} current Of `/recordings`; null where none runs. @returns {RecordingView} */
export function recordingInWords(current) {
  const state = String(current?.state ?? "");
  const stopping = state === "stopping";
  const active = state === "recording" || stopping;
  const label = stopping ? "Stopping ..." : active ? `Stop ${clock(Number(current.seconds ?? 0))}` : "Record";
  return { active, stopping, label, trouble: troubleOf(current, active) };
}

/** @param {any} status Of a recording that was stopped. @returns {string} */
export function resultInWords(status) {
  const sets = counted(Number(status.frame_sets ?? 0), "frame set");
  const size = (Number(status.size_bytes ?? 0) / 2 ** 20).toFixed(1);
  return `Recorded ${status.name}: ${sets} in ${Number(status.seconds ?? 0).toFixed(1)} s, ${size} MiB; ${missing(status) || "nothing is missing"}`;
}

/** @param {any} current @param {boolean} active @returns {string} */
function troubleOf(current, active) {
  if (!current || current.state === "finished") return "";
  if (!active) return `Recording ${current.name} ended by itself: ${current.message || plain(String(current.state))}`;
  const lost = missing(current);
  return lost ? `Recording ${current.name}: ${lost}` : "";
}

/** @param {any} status @returns {string} Empty where all was written. */
function missing(status) {
  const causes = Object.entries(status.drops ?? {}).filter(([, count]) => Number(count) > 0);
  if (causes.length === 0) return "";
  const total = causes.reduce((sum, [, count]) => sum + Number(count), 0);
  const parts = causes.map(([cause, count]) => `${plain(cause)} ${count}`).join(", ");
  return `${counted(total, "frame set")} missing (${parts})`;
}

/** @param {number} seconds @returns {string} `m:ss` */
function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
