/** The button that starts and stops a recording; it is there only where the service can record. */

import { ServiceError, getJson, request } from "./api.js";
import { recordingInWords, resultInWords } from "./recording_words.js";

/** @typedef {import("./advice.js").Advice} Advice */

const PATH = "api/v1/recordings";

export class RecordingControl {
  /** @param {HTMLButtonElement} button @param {() => void} onChange Called when the button has done its work, or could not. */
  constructor(button, onChange) {
    this.button = button;
    this.onChange = onChange;
    this.active = false;
    /** Whether the button is at its work; it can be off without, while somebody else's stop is waited for. */
    this.busy = false;
    this.asking = false;
    /** @type {Advice[]} At most one: what became of the last recording, or what is wrong with this one. */
    this.advice = [];
    button.addEventListener("click", () => void this.#toggle());
  }

  /** @param {boolean} offered Whether the service can record. */
  offer(offered) {
    this.button.hidden = !offered;
  }

  /** Ask how the recording is: somebody else may have started or stopped it. */
  async refresh() {
    // A disk that does not answer holds up the service's answer: asked again and again, it would hold up all the others.
    if (this.button.hidden || this.busy || this.asking) return;
    this.asking = true;
    try {
      const { current } = await getJson(PATH);
      // What was asked before the button was pressed is no news.
      if (!this.busy) this.#show(current);
    } catch {
      // The connection's own state says what is wrong.
    } finally {
      this.asking = false;
    }
  }

  /** @param {any} current */
  #show(current) {
    const { active, stopping, label, trouble } = recordingInWords(current);
    this.active = active;
    this.button.textContent = label;
    this.button.disabled = stopping;
    this.button.setAttribute("aria-pressed", String(active));
    if (trouble) this.advice = [{ id: `recording ${current.name}`, level: "bad", words: trouble }];
    else if (active) this.advice = [];
  }

  async #toggle() {
    this.busy = true;
    this.button.disabled = true;
    try {
      if (this.active) {
        const status = await (await request(`${PATH}/current`, {}, { method: "DELETE" })).json();
        this.#show(null);
        this.advice = [{ id: `recorded ${status.name}`, level: "ok", words: resultInWords(status) }];
      } else {
        this.#show(await (await request(PATH, {}, { method: "POST" })).json());
      }
    } catch (error) {
      const words = error instanceof ServiceError ? error.message : String(error);
      this.advice = [{ id: `recording ${words}`, level: "bad", words: `Recording: ${words}` }];
    } finally {
      this.busy = false;
      this.button.disabled = false;
      this.onChange();
    }
  }
}
