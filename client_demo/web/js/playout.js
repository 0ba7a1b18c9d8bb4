/**
 * Which hands are shown at an instant. The page draws when its screen does, messages come when they come: shown is an
 * instant a little behind, so that there is mostly a message on either side of it. Pure.
 */

import { between } from "./interpolation.js";

/** @typedef {import("viewer/types.js").Hand} Hand */
/** @typedef {import("viewer/types.js").HandsMessage} HandsMessage */
/** @typedef {{message: HandsMessage, poseMs: number}} Kept The instant that the hands are of, on the service's clock. */
/** @typedef {{hands: Hand[], poseMs: number, message: HandsMessage, moving: boolean}} Shown */

const WINDOW = 64;
const FALL_MS = 0.5;
const LONGEST_MS = 1000;
const LEAST_GAP_MS = 100;
const GAP_PERIODS = 3;
const KEPT_MS = 1500;

export class Playout {
  /** @param {number | null} delayMs How far behind hands are shown; 0 is each message as it is, null as little as will do. */
  constructor(delayMs) {
    this.askedMs = delayMs;
    this.clear();
  }

  clear() {
    /** Oldest first. @type {Kept[]} */
    this.kept = [];
    /** How old each message was when the next one came. @type {number[]} */
    this.agesMs = [];
    /** @type {number[]} */
    this.periodsMs = [];
    this.delayMs = 0;
  }

  /**
   * @param {HandsMessage} message
   * @param {number | null} arrivedMs On the service's clock; null while that is not known.
   */
  add(message, arrivedMs) {
    const poseMs = Number(message.stampsNs.exposure ?? 0) / 1e6 + message.predictedMs;
    const previous = this.kept.at(-1);
    // Time went back: another service, or footage that began again.
    if (previous && poseMs <= previous.poseMs) this.clear();
    else if (previous && arrivedMs !== null) this.#learn(poseMs - previous.poseMs, arrivedMs - previous.poseMs);
    this.kept.push({ message, poseMs });
    while (this.kept.length > 2 && this.kept[1].poseMs < poseMs - KEPT_MS) this.kept.shift();
  }

  /** The delay rises at once and falls slowly, so that the shown instant does not jump about. */
  #learn(/** @type {number} */ periodMs, /** @type {number} */ ageMs) {
    this.agesMs.push(Math.min(LONGEST_MS, Math.max(0, ageMs)));
    this.periodsMs.push(Math.min(LONGEST_MS, periodMs));
    if (this.agesMs.length > WINDOW) {
      this.agesMs.shift();
      this.periodsMs.shift();
    }
    this.delayMs = Math.max(...this.agesMs, this.delayMs - FALL_MS);
  }

  #usualPeriodMs() {
    return Float64Array.from(this.periodsMs).sort()[this.periodsMs.length >> 1] ?? 0;
  }

  /**
   * @param {number | null} nowMs On the service's clock; null while that is not known.
   * @param {number} silentMs How long ago the newest message came.
   * @param {number} holdMs How long hands stay where they were while nothing newer comes.
   * @returns {Shown | null} Null where there is nothing to be said about now.
   */
  at(nowMs, silentMs, holdMs) {
    const newest = this.kept.at(-1);
    if (newest === undefined) return null;
    const asItIs = nowMs === null || this.askedMs === 0;
    // How old the newest was when it came is no reason to hide it; that nothing newer comes is.
    const timeMs = asItIs ? newest.poseMs + silentMs : nowMs - (this.askedMs ?? this.delayMs);
    let place = this.kept.length - 1;
    while (place >= 0 && this.kept[place].poseMs > timeMs) place -= 1;
    if (place < 0) return null;
    const [before, after] = [this.kept[place], this.kept[place + 1]];
    const { message, poseMs } = before;
    // Of a pause nothing is known that a line could be drawn through.
    const gapMs = Math.max(LEAST_GAP_MS, GAP_PERIODS * this.#usualPeriodMs());
    const joined = after !== undefined && after.poseMs - poseMs <= gapMs;
    const share = joined ? (timeMs - poseMs) / (after.poseMs - poseMs) : 0;
    const held = timeMs - poseMs <= holdMs;
    /** @type {Hand[]} */
    const hands = [];
    for (const hand of message.hands) {
      const later = joined ? after.message.hands.find(({ id, side }) => id === hand.id && side === hand.side) : undefined;
      // A hand that the next message no longer has is gone only then.
      const shown = later === undefined ? null : between(hand, later, share);
      if (shown !== null) hands.push(shown);
      else if (held) hands.push(hand);
    }
    return { hands, poseMs: joined ? timeMs : poseMs, message, moving: joined };
  }
}
