/** Where a hand's fingertips were in the last moments. Pure; adding makes nothing. */

export class TrailHistory {
  /**
   * @param {number[]} joints Which of the hand's joints leave a trail.
   * @param {number} spanMs How long a place stays.
   * @param {number} most Places kept of each joint.
   */
  constructor(joints, spanMs, most) {
    this.joints = joints;
    this.spanMs = spanMs;
    this.most = most;
    this.timesMs = new Float64Array(most);
    /** Place after place, in each the joints in their order. */
    this.places = new Float32Array(3 * joints.length * most);
    this.oldest = 0;
    this.count = 0;
  }

  clear() {
    this.count = 0;
  }

  /**
   * @param {number} atMs Any clock, as long as it is one.
   * @param {Float32Array} positions Of all the hand's joints, 3 a joint.
   */
  add(atMs, positions) {
    this.forget(atMs);
    if (!this.#movesTheNewest()) {
      if (this.count === this.most) this.#drop();
      this.count += 1;
    }
    const slot = (this.oldest + this.count - 1) % this.most;
    this.timesMs[slot] = atMs;
    const to = 3 * this.joints.length * slot;
    for (let i = 0; i < this.joints.length; i++) {
      const from = 3 * this.joints[i];
      for (let k = 0; k < 3; k++) this.places[to + 3 * i + k] = positions[from + k];
    }
  }

  /** The newest place is always where the hand is; it stays behind once it is far enough in time from the one before. */
  #movesTheNewest() {
    if (this.count < 2) return false;
    const newestMs = this.timesMs[(this.oldest + this.count - 1) % this.most];
    const beforeMs = this.timesMs[(this.oldest + this.count - 2) % this.most];
    return newestMs - beforeMs < this.spanMs / this.most;
  }

  /** @param {number} nowMs */
  forget(nowMs) {
    while (this.count > 0 && this.timesMs[this.oldest] < nowMs - this.spanMs) this.#drop();
  }

  /**
   * Where a joint's place begins in `places`.
   *
   * @param {number} i Counted from the oldest; one beyond the ends is the end.
   * @param {number} joint Its rank among those that leave a trail.
   */
  offset(i, joint) {
    const place = Math.min(Math.max(i, 0), this.count - 1);
    return 3 * (this.joints.length * ((this.oldest + place) % this.most) + joint);
  }

  /** How fresh a place is: 1 now, 0 when it goes. @param {number} i Counted from the oldest. @param {number} nowMs */
  freshness(i, nowMs) {
    const atMs = this.timesMs[(this.oldest + i) % this.most];
    return Math.max(0, 1 - (nowMs - atMs) / this.spanMs);
  }

  #drop() {
    this.oldest = (this.oldest + 1) % this.most;
    this.count -= 1;
  }
}

/** The joints at the ends of fingers: those that are no other's parent. @param {number[]} parents */
export function tips(parents) {
  return parents.flatMap((_, joint) => (parents.includes(joint) ? [] : [joint]));
}
