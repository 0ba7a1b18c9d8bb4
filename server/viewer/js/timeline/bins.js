/** The last minute in bins of equal length: messages, how long each stage took, and drops by cause. Pure. */

/** The stages of a message's way, in their order: what `addStages` takes, and `shown`, which comes later. */
export const STAGES = ["camera", "engine", "sending", "page"];
const SHOWN = STAGES.length - 1;

export class TimelineBins {
  /** @param {number} [binMs] @param {number} [count] How many are kept. */
  constructor(binMs = 1000, count = 60) {
    this.binMs = binMs;
    this.count = count;
    this.messages = new Float64Array(count);
    /** Sums and numbers of values, stage after stage. */
    this.sums = STAGES.map(() => new Float64Array(count));
    this.counts = STAGES.map(() => new Float64Array(count));
    /** The slowest message of each bin up to the page, milliseconds. */
    this.worst = new Float64Array(count);
    /** @type {Map<string, Float64Array>} */
    this.drops = new Map();
    /** Number of the newest bin, counted from the page clock's zero; -1 before the first. */
    this.newest = -1;
  }

  clear() {
    this.newest = -1;
    this.drops.clear();
    this.#wipe(0, this.count);
  }

  /** Make room for the present moment. @param {number} nowMs */
  advance(nowMs) {
    const bin = Math.floor(nowMs / this.binMs);
    if (bin <= this.newest) return;
    if (this.newest < 0 || bin - this.newest >= this.count) this.#wipe(0, this.count);
    else for (let passed = this.newest + 1; passed <= bin; passed++) this.#wipe(passed % this.count, (passed % this.count) + 1);
    this.newest = bin;
  }

  /**
   * Note a message when it arrives.
   *
   * @param {number} nowMs Page clock.
   * @param {number | null} cameraMs From exposure until the service had the frames.
   * @param {number | null} engineMs Until they were solved.
   * @param {number | null} sendingMs Until the message left.
   */
  addMessage(nowMs, cameraMs, engineMs, sendingMs) {
    this.advance(nowMs);
    this.messages[this.newest % this.count] += 1;
    this.#addStage(0, cameraMs);
    this.#addStage(1, engineMs);
    this.#addStage(2, sendingMs);
  }

  /**
   * Note a message when it is on the screen.
   *
   * @param {number} nowMs Page clock.
   * @param {number} pageMs From leaving the service until it was drawn.
   * @param {number} wholeMs From exposure until then.
   */
  addShown(nowMs, pageMs, wholeMs) {
    this.advance(nowMs);
    this.#addStage(SHOWN, pageMs);
    const bin = this.newest % this.count;
    this.worst[bin] = Math.max(this.worst[bin], wholeMs);
  }

  /**
   * Note drops that were counted some time after they happened: they are spread over that time.
   *
   * @param {string} cause @param {number} count @param {number} fromMs @param {number} toMs Page clock.
   */
  addDrops(cause, count, fromMs, toMs) {
    this.advance(toMs);
    let series = this.drops.get(cause);
    if (!series) this.drops.set(cause, (series = new Float64Array(this.count)));
    const spanMs = Math.max(toMs - fromMs, 1);
    const oldest = Math.max(Math.floor((toMs - spanMs) / this.binMs), this.newest - this.count + 1, 0);
    for (let bin = oldest; bin <= this.newest; bin++) {
      const overlapMs = Math.min(toMs, (bin + 1) * this.binMs) - Math.max(toMs - spanMs, bin * this.binMs);
      if (overlapMs > 0) series[bin % this.count] += (count * overlapMs) / spanMs;
    }
  }

  /**
   * Where a bin of a given age lies in the arrays.
   *
   * @param {number} age 1 is the newest whole bin: that of the present moment, 0, is still being filled.
   * @returns {number} -1 where there is none.
   */
  place(age) {
    const bin = this.newest - age;
    return age < this.count && bin >= 0 ? bin % this.count : -1;
  }

  /** @param {number} age @returns {number} Messages a second. */
  rateHz(age) {
    const place = this.place(age);
    return place < 0 ? 0 : (1000 * this.messages[place]) / this.binMs;
  }

  /** @param {number} stage @param {number} age @returns {number} Mean, milliseconds; 0 where there is none. */
  stageMs(stage, age) {
    const place = this.place(age);
    return place < 0 || this.counts[stage][place] === 0 ? 0 : this.sums[stage][place] / this.counts[stage][place];
  }

  /** @param {string} cause @param {number} age @returns {number} Drops in the bin. */
  dropped(cause, age) {
    const place = this.place(age);
    return place < 0 ? 0 : (this.drops.get(cause)?.[place] ?? 0);
  }

  /** @returns {[string, number][]} Causes with what they dropped within the bins, most first. */
  causes() {
    const totals = [...this.drops].map(
      ([cause, series]) => /** @type {[string, number]} */ ([cause, series.reduce((sum, count) => sum + count, 0)]),
    );
    return totals.filter(([, total]) => total > 0).sort(([, a], [, b]) => b - a);
  }

  /** @param {number} stage @param {number | null} valueMs */
  #addStage(stage, valueMs) {
    if (valueMs === null) return;
    const bin = this.newest % this.count;
    this.sums[stage][bin] += valueMs;
    this.counts[stage][bin] += 1;
  }

  /** @param {number} from @param {number} to */
  #wipe(from, to) {
    for (const series of [this.messages, this.worst, ...this.sums, ...this.counts, ...this.drops.values()]) {
      series.fill(0, from, to);
    }
  }
}
