/** What the service does not stream: cameras, counters and readiness, asked for every two seconds. */

import { ServiceError, ask, getJson } from "./api.js";

/** @typedef {import("./types.js").CameraInfo} CameraInfo */

const PERIOD_MS = 2000;

export class ServicePoll {
  /**
   * @param {object} listeners
   * @param {(cameras: CameraInfo[], stats: any, atMs: number) => void} listeners.onAnswer `stats` is null where there are none.
   * @param {() => void} listeners.onUnreachable
   */
  constructor({ onAnswer, onUnreachable }) {
    this.onAnswer = onAnswer;
    this.onUnreachable = onUnreachable;
    this.underWay = false;
  }

  start() {
    window.setInterval(() => void this.now(), PERIOD_MS);
  }

  /** Ask at once, unless an answer is being waited for. */
  async now() {
    if (document.hidden || this.underWay) return;
    this.underWay = true;
    try {
      const [{ cameras }, stats] = await Promise.all([getJson("api/v1/cameras"), getJson("api/v1/stats").catch(() => null)]);
      this.onAnswer(cameras, stats, performance.now());
    } catch (error) {
      // The connection's own state says what is wrong.
      if (error instanceof ServiceError && error.status === 0) this.onUnreachable();
    } finally {
      this.underWay = false;
    }
  }
}

/** @returns {Promise<any>} What `/readyz` says, ready or not; null where it cannot. */
export async function readiness() {
  try {
    return await (await ask("readyz")).json();
  } catch {
    return null;
  }
}
