/** The numbers: rate, latency, skew and views, and a line for each hand. Written a few times a second, not each message. */

import { elapsedMs } from "./messages.js";
import { Recent } from "./statistics.js";
import { milliseconds, number, shortId } from "./words.js";

/** @typedef {import("./types.js").Hand} Hand */
/** @typedef {import("./types.js").HandsMessage} HandsMessage */

const WINDOW_MS = 2000;
const RATE_WINDOW_MS = 2000;

export class Readout {
  /**
   * @param {HTMLElement} metrics Holds an element with `data-metric` for each number.
   * @param {HTMLElement} handList
   * @param {import("./clock.js").ClockOffset} clock
   */
  constructor(metrics, handList, clock) {
    const places = /** @type {NodeListOf<HTMLElement>} */ (metrics.querySelectorAll("[data-metric]"));
    this.places = new Map([...places].map((place) => [place.dataset.metric ?? "", place]));
    this.handList = handList;
    this.clock = clock;
    this.arrivals = new Recent(RATE_WINDOW_MS);
    this.toSent = new Recent(WINDOW_MS);
    this.toSolved = new Recent(WINDOW_MS);
    this.toScreen = new Recent(WINDOW_MS);
    this.skew = new Recent(WINDOW_MS);
    /** @type {HandsMessage | null} */
    this.latest = null;
    this.cameraCount = 0;
    /** @type {any} */
    this.serviceStats = null;
    /** @type {any} */
    this.engine = null;
  }

  /** @param {HandsMessage} message @param {number} receivedMs Page clock. */
  hear(message, receivedMs) {
    this.latest = message;
    // Its stamps are those of no picture.
    if (message.ended) return;
    this.arrivals.add(receivedMs, 1);
    const { exposure, solved, sent } = message.stampsNs;
    put(this.toSolved, receivedMs, elapsedMs(exposure, solved));
    put(this.toSent, receivedMs, elapsedMs(exposure, sent));
    put(this.skew, receivedMs, message.skewMs);
  }

  /** @param {number} nowMs Page clock. @param {number} wholeMs From exposure until the hands were drawn. */
  hearShown(nowMs, wholeMs) {
    this.toScreen.add(nowMs, wholeMs);
  }

  /** The stream has stopped: numbers about now must not outlive it. */
  clear() {
    this.latest = null;
    for (const series of [this.arrivals, this.toSent, this.toSolved, this.toScreen, this.skew]) series.clear();
  }

  /** @param {number} nowMs */
  write(nowMs) {
    const { latest } = this;
    const service = this.serviceStats;
    this.#set("rate", number(this.arrivals.rateHz(nowMs), 1, "Hz"));
    this.#set("rate-service", service ? `service ${number(service.rate_hz, 1, "Hz")}` : "");
    this.#set("latency", milliseconds(this.toSent.median(nowMs)));
    this.#set("latency-solved", `solved ${milliseconds(this.toSolved.median(nowMs))}`);
    this.#set("screen", milliseconds(this.toScreen.median(nowMs)));
    this.#set("round-trip", `ping ${milliseconds(this.clock.roundTripMs)}`);
    this.#set("skew", milliseconds(this.skew.median(nowMs)));
    const used = latest?.views.length ?? 0;
    this.#set("views", latest ? (this.cameraCount ? `${used} of ${this.cameraCount}` : String(used)) : "\u2013");
    const names = latest?.views.join(", ") ?? "";
    this.#set("views-names", names, names);
    const model = latest?.modelId ?? this.engine?.model_id ?? null;
    this.#set("model", shortId(model), model ?? "");
    this.#set("backend", this.engine?.backend ?? "", this.engine?.description ?? "");
    this.#set("calibration", shortId(latest?.calibrationId ?? null), latest?.calibrationId ?? "");
    this.#writeHands(latest?.hands ?? []);
  }

  /** @param {string} name @param {unknown} text @param {string} [title] */
  #set(name, text, title = "") {
    const element = this.places.get(name);
    if (!element) return;
    const words = typeof text === "string" ? text : "";
    if (element.textContent !== words) element.textContent = words;
    if (element.title !== title) element.title = title;
  }

  /** @param {Hand[]} hands */
  #writeHands(hands) {
    while (this.handList.children.length > hands.length) this.handList.lastElementChild?.remove();
    const template = /** @type {HTMLTemplateElement} */ (document.getElementById("hand-line"));
    while (this.handList.children.length < hands.length) this.handList.append(template.content.cloneNode(true));
    hands.forEach((hand, i) => {
      const line = /** @type {HTMLElement} */ (this.handList.children[i]);
      const write = (/** @type {string} */ name, /** @type {string} */ text) => {
        const element = /** @type {HTMLElement} */ (line.querySelector(`.${name}`));
        if (element.textContent !== text) element.textContent = text;
      };
      line.dataset.side = hand.side;
      write("hand-name", `${hand.side === "left" ? "Left" : "Right"} hand ${hand.id}`);
      write("hand-confidence", number(100 * hand.confidence, 0, "%"));
      const errors = [...hand.reprojectionPx];
      const mean = errors.reduce((sum, [, error]) => sum + Number(error), 0) / errors.length;
      write("hand-error", errors.length ? number(mean, 1, "px") : "");
      write("hand-views", errors.map(([view, error]) => `${view} ${Number(error).toFixed(1)}`).join("  "));
    });
  }
}

/** @param {Recent} series @param {number} nowMs @param {number | null} value */
function put(series, nowMs, value) {
  if (value !== null) series.add(nowMs, value);
}
