/** Calibrating with a board, now: start, guidance, solve, verdict, accept. */

import { ServiceError, getJson, request } from "../api.js";
import { remember, remembered } from "../settings.js";
import { LivePictures } from "./live_pictures.js";
import { hintsInWords, outcomeOf, stageInWords } from "./live_words.js";
import { showVerdict } from "./verdict_view.js";

const PATH = "api/v1/calibration/session";
const PERIOD_MS = 500;
/** Where no session runs: somebody else may start one. */
const IDLE_PERIOD_MS = 5000;
const KEY = "board";

export class LivePanel {
  /**
   * @param {Record<"form" | "board" | "world" | "running" | "stage" | "hints" | "pictures" | "solve" | "accept" | "cancel" | "verdict", any>} elements
   * @param {(session: any) => void} onSession Told about each answer; null where no session runs.
   */
  constructor(elements, onSession) {
    this.elements = elements;
    this.onSession = onSession;
    this.visible = false;
    this.busy = false;
    this.asking = false;
    this.askedMs = -Infinity;
    this.session = /** @type {any} */ (null);
    this.outcome = "";
    this.pictures = new LivePictures(elements.pictures);
    elements.board.value = remembered(KEY, elements.board.value);
    elements.form.addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      void this.#start();
    });
    elements.solve.addEventListener("click", () => void this.#act(() => request(`${PATH}/solve`, {}, { method: "POST" })));
    elements.cancel.addEventListener("click", () => void this.#act(() => request(PATH, {}, { method: "DELETE" })));
    elements.accept.addEventListener("click", () => void this.#accept());
    window.setInterval(() => {
      // Also behind a closed panel: the marks on the stage are the session's until it is known to be over.
      if (this.session !== null) void this.refresh(true);
      else if (performance.now() - this.askedMs >= IDLE_PERIOD_MS) void this.refresh();
    }, PERIOD_MS);
  }

  /** @param {boolean} visible */
  setVisible(visible) {
    this.visible = visible;
    void this.refresh();
  }

  /** @param {boolean} always Also where nobody sees the panel. */
  async refresh(always = false) {
    if (this.asking || document.hidden || !(always || this.visible)) return;
    this.asking = true;
    this.askedMs = performance.now();
    try {
      this.#show(await getJson(PATH));
    } catch (error) {
      if (error instanceof ServiceError && error.status === 404) this.#show(null);
    } finally {
      this.asking = false;
    }
  }

  async #start() {
    const { board, world } = this.elements;
    await this.#act(async () => {
      const body = JSON.stringify({ board: board.value.trim(), world: world.value });
      await request(PATH, {}, { method: "POST", body, headers: { "content-type": "application/json" } });
      remember(KEY, board.value.trim());
    });
  }

  async #accept() {
    await this.#act(async () => {
      const force = this.session?.result?.verdict === "bad" ? { force: 1 } : {};
      const answer = await (await request(`${PATH}/accept`, force, { method: "POST" })).json();
      const words = "Save a copy: the service keeps it only until it ends";
      this.#say({ level: "ok", headline: `In use now as version ${answer.version}`, lines: [{ camera: "", level: "wait", words }] });
    });
  }

  /** One thing at a time. @param {() => Promise<any>} action */
  async #act(action) {
    if (this.busy) return;
    this.busy = true;
    this.#say(null);
    try {
      await action();
    } catch (error) {
      this.#say({ level: "bad", headline: error instanceof ServiceError ? error.message : String(error), lines: [] });
    } finally {
      this.busy = false;
      await this.refresh(true);
    }
  }

  /** @param {any} session */
  #show(session) {
    const { form, running, stage, hints, solve, accept } = this.elements;
    this.session = session;
    form.hidden = session !== null;
    running.hidden = session === null;
    this.pictures.show(session?.cameras ?? {});
    this.onSession(session);
    if (session === null) return;
    write(stage, stageInWords(session));
    const words = hintsInWords(session);
    if (words.join("\n") !== [...hints.children].map((line) => line.textContent).join("\n")) {
      hints.replaceChildren(...words.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
    }
    solve.disabled = !session.can_solve;
    solve.title = (session.missing ?? []).join("; ");
    write(solve, session.state === "solved" ? "Solve again" : "Solve");
    accept.hidden = session.state !== "solved";
    write(accept, session.result?.verdict === "bad" ? "Use it although it is bad" : "Use it");
    const outcome = JSON.stringify([session.problems, session.result]);
    const verdict = outcomeOf(session);
    if (verdict !== null && outcome !== this.outcome) this.#say(verdict);
    this.outcome = verdict === null ? "" : outcome;
  }

  /** @param {import("./calibration_words.js").Verdict | null} verdict */
  #say(verdict) {
    this.outcome = "";
    showVerdict(this.elements.verdict, verdict);
  }
}

/** @param {HTMLElement} element @param {string} words */
function write(element, words) {
  if (element.textContent !== words) element.textContent = words;
}
