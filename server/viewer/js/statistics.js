/** Numbers over the last moments: a rate and medians. */

/**
 * @param {ArrayLike<number>} values
 * @returns {number | null} Null if there are none.
 */
export function median(values) {
  const sorted = Float64Array.from(values).sort();
  if (sorted.length === 0) return null;
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Values with the time that each arrived, forgotten after a while. Adding one makes nothing. */
export class Recent {
  /** @param {number} spanMs How long a value counts. @param {number} [most] How many are kept; the oldest goes first. */
  constructor(spanMs, most = 256) {
    this.spanMs = spanMs;
    this.timesMs = new Float64Array(most);
    this.values = new Float64Array(most);
    this.oldest = 0;
    this.count = 0;
  }

  /** @param {number} nowMs @param {number} value */
  add(nowMs, value) {
    const most = this.timesMs.length;
    if (this.count === most) this.#drop();
    const place = (this.oldest + this.count) % most;
    this.timesMs[place] = nowMs;
    this.values[place] = value;
    this.count += 1;
    this.#forget(nowMs);
  }

  clear() {
    this.count = 0;
  }

  /** @param {number} nowMs @returns {number | null} */
  median(nowMs) {
    this.#forget(nowMs);
    return median(Array.from({ length: this.count }, (_, i) => this.values[this.#place(i)]));
  }

  /** Arrivals a second. @param {number} nowMs @returns {number} */
  rateHz(nowMs) {
    this.#forget(nowMs);
    if (this.count < 2) return 0;
    // From the first arrival to now or to the next one due, whichever is later: a stream that stops falls towards zero.
    const firstMs = this.timesMs[this.oldest];
    const spacing = (this.timesMs[this.#place(this.count - 1)] - firstMs) / (this.count - 1);
    const span = Math.max(nowMs - firstMs, spacing * this.count);
    return span > 0 ? (1000 * this.count) / span : 0;
  }

  /** @param {number} i Counted from the oldest. */
  #place(i) {
    return (this.oldest + i) % this.timesMs.length;
  }

  #drop() {
    this.oldest = this.#place(1);
    this.count -= 1;
  }

  /** @param {number} nowMs */
  #forget(nowMs) {
    const limitMs = nowMs - this.spanMs;
    // Of a slow stream the newest value stays a little longer, or the read-out would flicker.
    while (this.count > 1 && this.timesMs[this.oldest] < limitMs) this.#drop();
    if (this.count === 1 && this.timesMs[this.oldest] < nowMs - 3 * this.spanMs) this.#drop();
  }
}
