/** Numbers over the last moments: a rate, medians, and the difference between two clocks. */

/**
 * @param {number[]} values
 * @returns {number | null} Null if there are none.
 */
export function median(values) {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Values with the time that each arrived, forgotten after a while. */
export class Recent {
  /** @param {number} spanMs How long a value counts. */
  constructor(spanMs) {
    this.spanMs = spanMs;
    /** @type {{atMs: number, value: number}[]} */
    this.entries = [];
  }

  /** @param {number} nowMs @param {number} value */
  add(nowMs, value) {
    this.entries.push({ atMs: nowMs, value });
    this.#forget(nowMs);
  }

  clear() {
    this.entries = [];
  }

  /** @param {number} nowMs @returns {number | null} */
  median(nowMs) {
    this.#forget(nowMs);
    return median(this.entries.map((entry) => entry.value));
  }

  /** Arrivals a second. @param {number} nowMs @returns {number} */
  rateHz(nowMs) {
    this.#forget(nowMs);
    const count = this.entries.length;
    if (count < 2) return 0;
    // From the first arrival to now or to the next one due, whichever is later: a stream that stops falls towards zero.
    const first = this.entries[0].atMs;
    const spacing = (this.entries[count - 1].atMs - first) / (count - 1);
    const span = Math.max(nowMs - first, spacing * count);
    return span > 0 ? (1000 * count) / span : 0;
  }

  /** @param {number} nowMs */
  #forget(nowMs) {
    const oldest = nowMs - this.spanMs;
    let stale = 0;
    while (stale < this.entries.length && this.entries[stale].atMs < oldest) stale++;
    // Of a slow stream the newest value stays a little longer, or the read-out would flicker.
    const newest = this.entries.at(-1);
    if (newest && stale === this.entries.length && newest.atMs >= nowMs - 3 * this.spanMs) stale--;
    if (stale) this.entries.splice(0, stale);
  }
}

/** The service's monotonic clock seen from `performance.now()`, from answered pings; the fastest of the last few counts. */
export class ClockOffset {
  constructor() {
    /** @type {{roundTripMs: number, offsetMs: number}[]} */
    this.samples = [];
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
    if (this.samples.length > 8) this.samples.shift();
  }

  clear() {
    this.samples = [];
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
   * @returns {number | null}
   */
  ageMs(stampNs, nowMs) {
    if (stampNs === undefined || stampNs === null || this.samples.length === 0) return null;
    const best = this.samples.reduce((a, b) => (b.roundTripMs < a.roundTripMs ? b : a));
    return nowMs + best.offsetMs - Number(stampNs) / 1e6;
  }
}
