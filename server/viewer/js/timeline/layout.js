/** Where everything of the timeline lies on its canvas. Pure: from bins to coordinates, drawn elsewhere. */

import { STAGES } from "./bins.js";

/** @typedef {import("./bins.js").TimelineBins} TimelineBins */
/** @typedef {{x: number, y: number}} Point */
/** @typedef {{top: number, bottom: number, most: number}} Lane `most` is the value at its top. */
/** @typedef {{x: number, y: number, width: number, height: number}} Box */
/**
 * @typedef {object} Layout
 * @property {Lane} rate @property {Lane} latency @property {Lane} drops
 * @property {number} left @property {number} right Where the bins lie.
 * @property {Point[]} rateLine
 * @property {{stage: string, upper: Point[], lower: Point[]}[]} areas One a stage, the first at the bottom.
 * @property {Point[]} worst Of the bins that have one.
 * @property {{cause: string, boxes: Box[]}[]} bars
 */

/** Causes shown one by one; the others are drawn together. */
export const MOST_CAUSES = 4;
export const OTHER_CAUSES = "others";

/** Wide enough for 10,000 ms: a machine that cannot keep up has that. */
const AXIS_PX = 44;
const GAP_PX = 12;
const EDGE_PX = 6;
/** How the lanes share the height. */
const SHARES = { rate: 0.26, latency: 0.48, drops: 0.26 };

/**
 * The least "round" number (1, 2 or 5 times a power of ten) that is not below a value.
 *
 * @param {number} value @param {number} least What an empty lane shows.
 */
export function roundUp(value, least) {
  if (!(value > least)) return least;
  const power = 10 ** Math.floor(Math.log10(value));
  const factor = [1, 2, 5, 10].find((each) => each * power >= value * (1 - 1e-9)) ?? 10;
  return factor * power;
}

/**
 * The most, but for the odd second that is far above all others: one slow picture at the start would flatten a minute.
 *
 * @param {number[]} values
 */
export function usualMost(values) {
  const present = values.filter((value) => value > 0).sort((a, b) => b - a);
  if (present.length < 3) return present[0] ?? 0;
  const usual = present[Math.max(1, Math.floor(present.length / 20))];
  return present[0] > 2 * usual ? 1.2 * usual : present[0];
}

/**
 * The causes that get a colour of their own, most first, and whether there are more.
 *
 * @param {TimelineBins} bins
 * @returns {{named: string[], rest: string[]}}
 */
export function shownCauses(bins) {
  const causes = bins.causes().map(([cause]) => cause);
  return causes.length <= MOST_CAUSES + 1
    ? { named: causes, rest: [] }
    : { named: causes.slice(0, MOST_CAUSES), rest: causes.slice(MOST_CAUSES) };
}

/**
 * @param {TimelineBins} bins @param {number} width @param {number} height In CSS pixels.
 * @returns {Layout}
 */
export function timelineLayout(bins, width, height) {
  const [left, right] = [AXIS_PX, Math.max(AXIS_PX + 1, width - EDGE_PX)];
  const usable = Math.max(30, height - 2 * GAP_PX - 2 * EDGE_PX);
  // The bin of the present moment is still being filled and would look like a loss: the newest shown is the one before.
  const ages = Array.from({ length: bins.count - 1 }, (_, i) => bins.count - 1 - i);
  const step = (right - left) / ages.length;
  const { named, rest } = shownCauses(bins);
  const dropped = (/** @type {number} */ age) => bins.causes().reduce((sum, [cause]) => sum + bins.dropped(cause, age), 0);
  const latencyMs = (/** @type {number} */ age) => STAGES.reduce((sum, _, stage) => sum + bins.stageMs(stage, age), 0);
  const most = (/** @type {(age: number) => number} */ of) => usualMost(ages.map(of));

  let top = EDGE_PX;
  const lane = (/** @type {number} */ share, /** @type {number} */ mostValue) => {
    const made = { top, bottom: top + share * usable, most: mostValue };
    top = made.bottom + GAP_PX;
    return made;
  };
  const rate = lane(SHARES.rate, roundUp(most((age) => bins.rateHz(age)), 10));
  const latency = lane(SHARES.latency, roundUp(most((age) => latencyMs(age)), 20));
  const drops = lane(SHARES.drops, roundUp(most(dropped), 5));

  const middle = (/** @type {number} */ i) => left + (i + 0.5) * step;
  const y = (/** @type {Lane} */ of, /** @type {number} */ value) =>
    of.bottom - (of.bottom - of.top) * Math.min(1, value / of.most);

  const heights = ages.map(() => 0);
  const areas = STAGES.map((stage, s) => {
    const lower = ages.map((_, i) => ({ x: middle(i), y: y(latency, heights[i]) }));
    ages.forEach((age, i) => (heights[i] += bins.stageMs(s, age)));
    return { stage, lower, upper: ages.map((_, i) => ({ x: middle(i), y: y(latency, heights[i]) })) };
  });

  const stacked = ages.map(() => 0);
  const boxesOf = (/** @type {string[]} */ causes) =>
    ages.flatMap((age, i) => {
      const count = causes.reduce((sum, cause) => sum + bins.dropped(cause, age), 0);
      if (count <= 0) return [];
      const bottom = y(drops, stacked[i]);
      stacked[i] += count;
      const upper = y(drops, stacked[i]);
      return [{ x: left + (i + 0.12) * step, y: upper, width: 0.76 * step, height: bottom - upper }];
    });
  const bars = named.map((cause) => ({ cause, boxes: boxesOf([cause]) }));
  if (rest.length) bars.push({ cause: OTHER_CAUSES, boxes: boxesOf(rest) });

  return {
    rate,
    latency,
    drops,
    left,
    right,
    rateLine: ages.map((age, i) => ({ x: middle(i), y: y(rate, bins.rateHz(age)) })),
    areas,
    worst: ages.flatMap((age, i) => {
      const worst = bins.place(age) < 0 ? 0 : bins.worst[bins.place(age)];
      // Above the lane it could not say how far: its number is read from the moment.
      return worst > 0 && worst <= latency.most ? [{ x: middle(i), y: y(latency, worst) }] : [];
    }),
    bars,
  };
}

/**
 * The age of the bin under a place on the canvas.
 *
 * @param {TimelineBins} bins @param {number} x @param {number} width As given to `timelineLayout`.
 * @returns {number} 1 is the newest shown.
 */
export function ageAt(bins, x, width) {
  const [left, right] = [AXIS_PX, Math.max(AXIS_PX + 1, width - EDGE_PX)];
  const shown = bins.count - 1;
  const i = Math.floor(((x - left) / (right - left)) * shown);
  return shown - Math.min(shown - 1, Math.max(0, i));
}
