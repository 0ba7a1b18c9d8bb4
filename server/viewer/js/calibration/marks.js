/** Coverage and residuals for the cameras on the stage: of a live calibration while one runs, of the hands otherwise. */

import { getJson } from "../api.js";

/** @typedef {{coverage: number[][] | null, residuals_px: number[][]}} Marks Residuals are rows of x, y, dx, dy. */

const PERIOD_MS = 400;

/**
 * @param {any} session Of a live calibration.
 * @returns {Record<string, Marks>} By camera id.
 */
export function marksOfSession(session) {
  const residuals = session.result?.residuals_px ?? {};
  return Object.fromEntries(
    Object.entries(session.cameras ?? {}).map(([id, camera]) => [
      id,
      { coverage: /** @type {any} */ (camera).coverage ?? null, residuals_px: residuals[id] ?? [] },
    ]),
  );
}

export class MarksPoll {
  /** @param {(marks: Record<string, Marks>) => void} onMarks */
  constructor(onMarks) {
    this.onMarks = onMarks;
    /** @type {Set<string>} */
    this.wanted = new Set();
    this.session = /** @type {any} */ (null);
    this.underWay = false;
    window.setInterval(() => void this.#ask(), PERIOD_MS);
  }

  /** @param {string} layer @param {boolean} on */
  want(layer, on) {
    if (on) this.wanted.add(layer);
    else this.wanted.delete(layer);
    void this.#ask();
  }

  /** @param {any} session Null where none runs. */
  hearSession(session) {
    this.session = session;
    if (session !== null && this.wanted.size > 0) this.onMarks(marksOfSession(session));
  }

  async #ask() {
    if (this.wanted.size === 0 || this.session !== null || this.underWay || document.hidden) return;
    this.underWay = true;
    try {
      const { cameras } = await getJson("api/v1/calibration/marks");
      if (this.session === null) this.onMarks(cameras);
    } catch {
      // The connection's own state says what is wrong; the last marks stay.
    } finally {
      this.underWay = false;
    }
  }
}
