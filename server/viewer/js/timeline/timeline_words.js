/** The timeline's numbers in words: for its legend, for one moment under the pointer, and for who cannot see it. Pure. */

import { causeName } from "../drop_causes.js";
import { number } from "../words.js";
import { STAGES } from "./bins.js";

/** @typedef {import("./bins.js").TimelineBins} TimelineBins */

/** What each stage is, for people. @type {Record<string, {name: string, meaning: string}>} */
export const STAGE_WORDS = {
  camera: { name: "Camera", meaning: "from the exposure until the service had the frame" },
  engine: { name: "Engine", meaning: "until the hands were solved; waiting for the other cameras and for the engine is in it" },
  sending: { name: "Sending", meaning: "until the message left the service" },
  page: { name: "Page", meaning: "on the way to this page and until it was drawn, by the offset of the two clocks" },
};

/**
 * One moment.
 *
 * @param {TimelineBins} bins @param {number} age Of its bin.
 * @returns {string}
 */
export function momentInWords(bins, age) {
  const ago = `${Math.round((age * bins.binMs) / 1000)} s ago`;
  if (bins.place(age) < 0) return `${ago}: nothing yet`;
  const parts = STAGES.map((stage, s) => ({ stage, ms: bins.stageMs(s, age) }));
  const whole = parts.reduce((sum, { ms }) => sum + ms, 0);
  const stages = parts.map(({ stage, ms }) => `${STAGE_WORDS[stage].name.toLowerCase()} ${number(ms, 0)}`).join(" + ");
  const worst = bins.worst[bins.place(age)];
  const latency = whole > 0 ? `${number(whole, 0, "ms")} = ${stages}${worst > 0 ? `, slowest ${number(worst, 0, "ms")}` : ""}` : "no hands message";
  const drops = bins
    .causes()
    .map(([cause]) => ({ cause, count: bins.dropped(cause, age) }))
    .filter(({ count }) => count >= 0.5)
    .map(({ cause, count }) => `${causeName(cause)} ${Math.round(count)}`);
  return [`${ago}: ${number(bins.rateHz(age), 0, "Hz")}`, latency, ...drops].join(" \u00b7 ");
}

/**
 * The mean of a stage over the last few bins, for the legend.
 *
 * @param {TimelineBins} bins @param {number} stage @param {number} [over] Bins.
 * @returns {number | null}
 */
export function recentStageMs(bins, stage, over = 5) {
  let [sum, count] = [0, 0];
  for (let age = 0; age <= over; age++) {
    const place = bins.place(age);
    if (place < 0) continue;
    sum += bins.sums[stage][place];
    count += bins.counts[stage][place];
  }
  return count > 0 ? sum / count : null;
}
