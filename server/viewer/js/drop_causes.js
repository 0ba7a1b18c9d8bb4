/** The causes for which frames, frame sets and messages are dropped, in plain words, and how many went lately. */

/**
 * What each cause means and, where something can be done, what.
 *
 * @type {Record<string, {name: string, meaning: string}>}
 */
const CAUSES = {
  behind: { name: "skipped", meaning: "the machine is behind the cameras, so frames were skipped to keep up with time" },
  overwritten: { name: "not read in time", meaning: "newer frames of the camera replaced unread ones" },
  ring_full: { name: "no free memory", meaning: "every slot of the ring was in use; raise ring_slots in the rig file" },
  undecodable: { name: "broken", meaning: "the picture's data was broken; check the cable, or the recording" },
  late: { name: "too late", meaning: "the frame came after its set had gone out" },
  unmatched: { name: "without partners", meaning: "no other camera had a frame of that instant; do all run at the same rate? else see max_skew_ms" },
  disordered: { name: "out of order", meaning: "the frame was stamped no later than the one before it" },
  frame_sets_superseded: { name: "replaced sets", meaning: "the engine was busy, and a newer frame set took their place" },
  frame_sets_stopped: { name: "sets at the end", meaning: "they were under way when the cameras were stopped" },
  messages: { name: "not sent", meaning: "messages that a slow or slowed-down client never got, all clients together" },
  client_timeout: { name: "clients given up", meaning: "they took nothing for too long" },
};

/** @param {string} cause */
export function causeName(cause) {
  return CAUSES[cause]?.name ?? cause.replaceAll(/[_-]+/g, " ");
}

/** @param {string} cause */
export function causeMeaning(cause) {
  return CAUSES[cause]?.meaning ?? "";
}

/** @param {Record<string, number> | undefined} drops @returns {string} Empty where nothing was dropped. */
export function dropsInWords(drops) {
  const causes = Object.entries(drops ?? {}).filter(([, count]) => count > 0);
  if (causes.length === 0) return "";
  const total = causes.reduce((sum, [, count]) => sum + count, 0);
  const parts = causes.sort(([, a], [, b]) => b - a).map(([cause, count]) => `${causeName(cause)} ${count.toLocaleString("en")}`);
  return `${total.toLocaleString("en")} dropped: ${parts.join(", ")}`;
}

/**
 * @typedef {object} Sample Counters that only rise, as the service tells them.
 * @property {number} atMs Page clock.
 * @property {number} frames Frames taken from all cameras, dropped ones included.
 * @property {number} sets Frame sets answered.
 * @property {Record<string, number>} drops By cause.
 */

/** Remembers the last few samples, to tell what went lately from what went long ago. */
export class DropWatch {
  /** @param {number} spanMs How far back "lately" reaches. */
  constructor(spanMs) {
    this.spanMs = spanMs;
    /** @type {Sample[]} */
    this.samples = [];
  }

  clear() {
    this.samples = [];
  }

  /**
   * @param {Sample} sample
   * @returns {{fromMs: number, drops: Record<string, number>}} What went since the sample before.
   */
  add(sample) {
    const before = this.samples.at(-1);
    // A service that was started again counts from zero: nothing before can be compared.
    if (before && (sample.frames < before.frames || sample.sets < before.sets)) this.samples = [];
    const comparable = this.samples.at(-1);
    this.samples.push(sample);
    while (this.samples.length > 2 && this.samples[1].atMs <= sample.atMs - this.spanMs) this.samples.shift();
    if (!comparable) return { fromMs: sample.atMs, drops: {} };
    return { fromMs: comparable.atMs, drops: risen(comparable.drops, sample.drops) };
  }

  /** @returns {{frames: number, sets: number, drops: Record<string, number>} | null} Null while there is nothing to compare. */
  lately() {
    const [first, last] = [this.samples[0], this.samples.at(-1)];
    if (!last || first === last) return null;
    return {
      frames: last.frames - first.frames,
      sets: last.sets - first.sets,
      drops: risen(first.drops, last.drops),
    };
  }
}

/** @param {Record<string, number>} before @param {Record<string, number>} after */
function risen(before, after) {
  /** @type {Record<string, number>} */
  const rise = {};
  for (const [cause, count] of Object.entries(after)) {
    const more = count - (before[cause] ?? 0);
    if (more > 0) rise[cause] = more;
  }
  return rise;
}
