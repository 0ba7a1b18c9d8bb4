/** The service's monotonic clock seen from `performance.now()`, from answered pings. */

import { median } from "./statistics.js";

const SAMPLES = 8;

/** Of the last few pings the fastest counts: its offset is wrong by half of its time on the way at most. */
export class ClockOffset {
  constructor() {
    /** @type {{roundTripMs: number, offsetMs: number}[]} */
    this.samples = [];
    /** @type {number | null} */
    this.offsetMs = null;
  }

  /**
   * @param {number} sentMs When the ping left, page clock.
   * @param {number} returnedMs When the answer came, page clock.
   * @param {number | bigint} serverReceivedNs
   * @param {number | bigint} serverSentNs
   */
  add(sentMs, returnedMs, serverReceivedNs, serverSentNs) {
    const receivedMs = Number(serverReceivedNs) / 1e6;
    const answeredMs = Number(serverSentNs) / 1e6;
    this.samples.push({
      roundTripMs: Math.max(0, returnedMs - sentMs - (answeredMs - receivedMs)),
      offsetMs: (receivedMs + answeredMs) / 2 - (sentMs + returnedMs) / 2,
    });
    if (this.samples.length > SAMPLES) this.samples.shift();
    this.offsetMs = this.samples.reduce((best, each) => (each.roundTripMs < best.roundTripMs ? each : best)).offsetMs;
  }

  clear() {
    this.samples = [];
    this.offsetMs = null;
  }

  /** @returns {number | null} */
  get roundTripMs() {
    return median(this.samples.map((sample) => sample.roundTripMs));
  }

  /**
   * Age of a stamp of the service.
   *
   * @param {number | bigint | undefined} stampNs
   * @param {number} nowMs Page clock.
   * @returns {number | null} Null while no ping was answered.
   */
  ageMs(stampNs, nowMs) {
    if (stampNs === undefined || stampNs === null || this.offsetMs === null) return null;
    return nowMs + this.offsetMs - Number(stampNs) / 1e6;
  }
}
