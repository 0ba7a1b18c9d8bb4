/** The viewer: connects the stream to the 3D view, the camera pictures and the numbers. */

import { ServiceError, getJson } from "./api.js";
import { readHands } from "./messages.js";
import { Pictures } from "./pictures.js";
import { Readout } from "./readout.js";
import { readinessInWords } from "./readiness.js";
import { HandStream } from "./stream.js";
import { setUpTheme } from "./theme.js";
import { connectionInWords } from "./words.js";

/** @typedef {import("./types.js").CameraInfo} CameraInfo */
/** @typedef {import("./types.js").ConnectionState} ConnectionState */
/** @typedef {import("./scene/theatre.js").Theatre} Theatre */

/** Hands vanish when three messages in a row have not come, within these limits. */
const STALE_AFTER_MS = { messages: 3, least: 500, most: 2000 };
const WRITE_EVERY_MS = 250;
const ASK_EVERY_MS = 2000;

const element = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));

class Viewer {
  constructor() {
    /** @type {Theatre | null} */
    this.theatre = null;
    /** @type {import("./types.js").Skeleton | null} */
    this.skeleton = null;
    /** @type {CameraInfo[]} */
    this.cameras = [];
    this.rigKey = "";
    this.modelId = /** @type {string | null} */ (null);
    this.connection = /** @type {ConnectionState} */ ({ phase: "connecting" });
    this.lastHandsMs = -Infinity;
    this.handCount = 0;
    this.readiness = "";
    this.readout = new Readout(element("metrics"), element("hands"));
    this.pictures = new Pictures(element("pictures"), (id) => this.viewFrom(id));
    this.stream = new HandStream({
      onMessage: (message, receivedMs) => this.hear(message, receivedMs),
      onState: (state) => this.setConnection(state),
    });
  }

  async start() {
    setUpTheme(element("theme"), () => this.theatre?.readColours());
    this.setUpControls();
    this.stream.connect();
    window.setInterval(() => this.tick(), WRITE_EVERY_MS);
    window.setInterval(() => void this.ask(), ASK_EVERY_MS);
    await this.setUpTheatre();
  }

  async setUpTheatre() {
    const canvas = element("canvas");
    try {
      if (!document.createElement("canvas").getContext("webgl2")) throw new Error("no WebGL 2");
      // Three.js is large: where there is no WebGL it is not even asked for.
      const { Theatre } = await import("./scene/theatre.js");
      const elements = { canvas, frame: element("stage"), labels: element("labels") };
      this.theatre = new Theatre(elements, (id) => this.showViewFrom(id));
    } catch (error) {
      console.warn("The 3D view is off:", error);
      element("stage").dataset.flat = "";
      element("fallback").hidden = false;
      return;
    }
    canvas.addEventListener("webglcontextlost", () => (element("fallback").hidden = false));
    canvas.addEventListener("webglcontextrestored", () => (element("fallback").hidden = true));
    this.applyLayers();
    this.theatre.setCameras(this.cameras);
    if (this.skeleton) this.theatre.setSkeleton(this.skeleton);
  }

  setUpControls() {
    for (const button of document.querySelectorAll("[data-layer]")) {
      button.addEventListener("click", () => {
        button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
        this.applyLayers();
      });
    }
    element("reset-view").addEventListener("click", () => this.theatre?.resetView());
    const overlay = element("overlay");
    overlay.addEventListener("click", () => {
      const on = overlay.getAttribute("aria-pressed") !== "true";
      overlay.setAttribute("aria-pressed", String(on));
      this.pictures.setOverlay(on);
    });
  }

  applyLayers() {
    for (const button of document.querySelectorAll("[data-layer]")) {
      const layer = /** @type {HTMLElement} */ (button).dataset.layer ?? "";
      this.theatre?.setLayer(layer, button.getAttribute("aria-pressed") === "true");
    }
  }

  /** @param {any} message @param {number} receivedMs */
  hear(message, receivedMs) {
    if (message.type === "hands") {
      const hands = readHands(message);
      this.lastHandsMs = receivedMs;
      this.readout.hear(hands, receivedMs);
      this.theatre?.show(hands.hands, hands.views);
      this.setHandCount(hands.hands.length);
      // The hello names the model that the skeleton was read for; a swap of models changes the mesh.
      if (hands.modelId !== null && hands.modelId !== this.modelId) {
        const swapped = this.modelId !== null;
        this.modelId = hands.modelId;
        if (swapped) void this.askOnce();
      }
    } else if (message.type === "pong") {
      this.readout.clock.add(Number(message.t), receivedMs, message.received_ns, message.sent_ns);
    }
  }

  /** @param {ConnectionState} state */
  setConnection(state) {
    const wasOpen = this.connection.phase === "open";
    this.connection = state;
    const pill = element("connection");
    pill.dataset.phase = state.phase;
    const words = connectionInWords(state);
    if (element("connection-text").textContent !== words) element("connection-text").textContent = words;
    if (state.phase === "open") {
      void this.askOnce();
      void this.ask();
    } else if (wasOpen) {
      this.forgetHands();
      this.readout.clear();
    }
    this.writeNotice();
  }

  /** What changes only with the model: asked for after each connection. */
  async askOnce() {
    try {
      this.readout.engine = await getJson("api/v1/engine");
    } catch {
      this.readout.engine = null; // The model's name is then read from the messages alone.
    }
    try {
      this.skeleton = await getJson("api/v1/skeleton", { dialect: "mano" });
      if (this.skeleton) this.theatre?.setSkeleton(this.skeleton);
    } catch (error) {
      console.warn("No skeleton, so no hand can be drawn:", error);
    }
  }

  /** What changes by itself: cameras, readiness and the service's own numbers. */
  async ask() {
    if (document.hidden) return;
    try {
      const [{ cameras }, stats] = await Promise.all([
        getJson("api/v1/cameras"),
        getJson("api/v1/stats").catch(() => null),
      ]);
      this.readout.serviceStats = stats;
      this.setCameras(cameras);
    } catch (error) {
      // The connection's own state says what is wrong.
      if (error instanceof ServiceError && error.status === 0) this.pictures.setUnreachable();
      return;
    }
    this.readiness = this.handsAreFresh() ? "" : await readinessInWords();
    this.writeNotice();
  }

  /** @param {CameraInfo[]} cameras */
  setCameras(cameras) {
    this.cameras = cameras;
    this.readout.cameraCount = cameras.length;
    this.pictures.update(cameras);
    element("no-cameras").hidden = cameras.length > 0;
    const rigKey = JSON.stringify(cameras.map(({ id, width, height, calibration }) => [id, width, height, calibration]));
    if (rigKey === this.rigKey) return;
    this.rigKey = rigKey;
    this.theatre?.setCameras(cameras);
  }

  tick() {
    if (!this.handsAreFresh() && this.readout.latest?.views.length) this.forgetHands();
    this.readout.write(performance.now());
    this.writeNotice();
  }

  handsAreFresh() {
    const nowMs = performance.now();
    const { messages, least, most } = STALE_AFTER_MS;
    const rateHz = this.readout.arrivals.rateHz(nowMs);
    const limitMs = rateHz > 0 ? (1000 * messages) / rateHz : most;
    return nowMs - this.lastHandsMs < Math.min(most, Math.max(least, limitMs));
  }

  forgetHands() {
    this.theatre?.show([], []);
    this.setHandCount(0);
    if (this.readout.latest) this.readout.latest = { ...this.readout.latest, hands: [], views: [] };
  }

  /** @param {number} count */
  setHandCount(count) {
    if (count === this.handCount) return;
    this.handCount = count;
    this.writeNotice();
  }

  /** Over the stage: why no hand is to be seen. */
  writeNotice() {
    let words = "";
    if (this.connection.phase !== "open") words = connectionInWords(this.connection);
    else if (!this.handsAreFresh()) words = this.readiness || "Connected, waiting for the first pictures";
    else if (this.handCount === 0) words = this.whyNoHand();
    const notice = element("notice");
    if (notice.textContent !== words) notice.textContent = words;
    notice.hidden = words === "";
  }

  /** A hand takes two views: say so where the pictures, and not the hand, are missing. */
  whyNoHand() {
    const used = this.readout.latest?.views.length ?? 0;
    if (used > 1 || this.cameras.length < 2) return "No hand in view";
    return `No hand in view: ${used === 1 ? "only one camera" : "no camera"} of ${this.cameras.length} gave a picture in time`;
  }

  /** @param {string} cameraId */
  viewFrom(cameraId) {
    this.theatre?.viewFrom(cameraId);
  }

  /** @param {string | null} cameraId */
  showViewFrom(cameraId) {
    this.pictures.setCurrent(cameraId);
    const text = element("view-from");
    text.hidden = cameraId === null;
    text.textContent = cameraId === null ? "" : `View from ${cameraId}`;
  }
}

void new Viewer().start();
