/** The page: hands from the stream's `webxr` dialect in a 3D view, and in a headset where there is one. */

import { Vector3 } from "three";

import { ClockOffset } from "viewer/clock.js";
import { readHands } from "viewer/messages.js";
import { FOOTAGE_OVER, GRAPHICS_LOST, staleAfterMs } from "viewer/notice.js";
import { Recent } from "viewer/statistics.js";
import { HandStream } from "viewer/stream.js";
import { cssColour } from "viewer/theme.js";
import { connectionInWords, number } from "viewer/words.js";

import { loadHandModels } from "./hand_models.js";
import { Headset, offeredModes, whyNone } from "./headset.js";
import { readOptions } from "./options.js";
import { Playout } from "./playout.js";
import { UNMOVED, placed, placedBefore, turnedFurther } from "./placement.js";
import { Room } from "./scene/room.js";
import { Sign } from "./scene/sign.js";
import { TrackedHands } from "./scene/tracked_hands.js";
import { takeToken } from "./token.js";
import { whyRefused } from "./why_refused.js";

/** @typedef {import("viewer/types.js").ConnectionState} ConnectionState */
/** @typedef {import("./headset.js").Mode} Mode */
/** @typedef {import("./playout.js").Shown} Shown */
/** @typedef {import("./placement.js").Vector} Vector */

const WRITE_EVERY_MS = 500;
const SIGN_ABOVE_HANDS_M = 0.2;
const EIGHTH_TURN = Math.PI / 4;

const element = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));

class Client {
  /** @param {import("./options.js").Options} options */
  constructor(options) {
    this.options = options;
    this.clock = new ClockOffset();
    this.arrivals = new Recent(2000);
    this.latency = new Recent(1000);
    this.connection = /** @type {ConnectionState} */ ({ phase: "connecting" });
    this.playout = new Playout(options.delayMs);
    /** What was shown last. @type {Shown | null} */
    this.shown = null;
    this.heardMs = -Infinity;
    this.looked = false;
    this.ended = false;
    this.trouble = "";
    this.placement = UNMOVED;
    this.centre = new Vector3();
    /** Where the hands were looked at from on the screen, in their own world. @type {Vector} */
    this.seenFrom = [0, 0, 1];
    this.hands = new TrackedHands();
    this.sign = new Sign();
    this.room = new Room(
      element("canvas"),
      (nowMs) => this.showHands(nowMs),
      () => this.noteDrawn(),
    );
    this.room.world.add(this.hands.object);
    this.room.scene.add(this.sign.object);
    this.headset = new Headset(this.room.renderer.xr, element("overlay"), {
      onEntered: (mode, overlaid) => this.enter(mode, overlaid),
      onLeft: () => this.leave(),
      onSelect: () => this.bringBefore(),
      onSqueeze: () => this.turn(),
    });
    this.stream = new HandStream(
      () => options.stream,
      { onMessage: (message, nowMs) => this.hear(message, nowMs), onState: (state) => (this.connection = state) },
      () => whyRefused(options),
    );
  }

  start() {
    const colours = () => this.room.setColours(cssColour("--grid"), cssColour("--page"));
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", colours);
    colours();
    for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-layer]"))) {
      button.addEventListener("click", () => {
        const on = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(on));
        this.hands.setLayers({ [button.dataset.layer ?? ""]: on });
        this.room.requestRender();
      });
    }
    element("reset-view").addEventListener("click", () => this.room.lookAt(this.centre));
    for (const mode of /** @type {Mode[]} */ (["ar", "vr"])) {
      element(`enter-${mode}`).addEventListener("click", () => {
        // Noted now: in the headset the camera is where the viewer's eyes are.
        this.seenFrom = coordinates(this.room.camera.position);
        this.headset.enter(mode).catch((error) => (this.trouble = `Could not enter: ${error.message}`));
      });
    }
    element("leave").addEventListener("click", () => this.headset.leave());
    void this.offer();
    navigator.xr?.addEventListener("devicechange", () => void this.offer());
    loadHandModels().then(
      (models) => {
        this.hands.setModels(models);
        this.room.requestRender();
      },
      (error) => (this.trouble = `Hands are shown without skin: ${error.message}`),
    );
    this.stream.connect();
    window.setInterval(() => this.write(), WRITE_EVERY_MS);
    this.write();
  }

  /** Show the buttons of what can be entered, and of nothing else. */
  async offer() {
    const offered = await offeredModes();
    element("enter-ar").hidden = !offered.ar;
    element("enter-vr").hidden = !offered.vr;
    element("no-headset").hidden = offered.ar || offered.vr;
    element("no-headset").textContent = `${whyNone()}: this is the 3D view.`;
  }

  /** @param {any} message @param {number} nowMs */
  hear(message, nowMs) {
    if (message.type === "hello") {
      this.hands.setSkeleton(message.joint_names, message.parents);
      this.playout.clear();
      this.clock.clear();
    } else if (message.type === "hands") {
      const heard = readHands(message);
      this.playout.add(heard, this.serviceMs(nowMs));
      this.ended = heard.ended;
      this.heardMs = nowMs;
      this.arrivals.add(nowMs, 1);
    } else if (message.type === "pong") {
      this.clock.add(Number(message.t), nowMs, message.received_ns, message.sent_ns);
    }
  }

  /** The service's clock. @param {number} nowMs The page's. @returns {number | null} Null while no ping was answered. */
  serviceMs(nowMs) {
    return this.clock.offsetMs === null ? null : nowMs + this.clock.offsetMs;
  }

  /** @param {number} nowMs @returns {boolean} Whether there is something new to draw. */
  showHands(nowMs) {
    const holdMs = staleAfterMs(this.arrivals.rateHz(nowMs));
    const [before, shown] = [this.shown, this.playout.at(this.serviceMs(nowMs), nowMs - this.heardMs, holdMs)];
    this.shown = shown;
    const hands = shown?.hands ?? [];
    const same = shown?.message === before?.message && hands.length === this.hands.hands.length;
    if (same && !shown?.moving && !before?.moving) return false;
    this.hands.show(hands);
    const seen = this.hands.centre(this.centre);
    if (seen && !this.looked) {
      this.looked = true;
      if (this.room.inHeadset) this.bringBefore();
      else this.room.lookAt(this.centre);
    }
    return true;
  }

  noteDrawn() {
    if (this.shown === null || this.shown.hands.length === 0) return;
    const nowMs = performance.now();
    const serviceMs = this.serviceMs(nowMs);
    if (serviceMs !== null) this.latency.add(nowMs, serviceMs - (this.shown.poseMs - this.shown.message.predictedMs));
  }

  /** @param {Mode} mode @param {boolean} overlaid Whether the page's words are seen over the room. */
  enter(mode, overlaid) {
    document.documentElement.dataset.mode = mode;
    element("leave").hidden = false;
    this.room.setMode(mode);
    this.sign.object.visible = !overlaid;
    // Where the viewer is, is known only with the first pictures.
    window.setTimeout(() => this.bringBefore(), 300);
  }

  leave() {
    delete document.documentElement.dataset.mode;
    element("leave").hidden = true;
    this.sign.object.visible = false;
    this.placement = UNMOVED;
    this.room.place(UNMOVED);
    this.room.setMode("");
    this.room.lookAt(this.centre);
  }

  /** Bring the hands before the viewer, from the side that they were seen from on the screen. */
  bringBefore() {
    if (!this.room.inHeadset) return;
    const { eye, gaze } = this.room.viewer();
    if (!this.options.inTheWorld) this.placement = placedBefore(eye, gaze, coordinates(this.centre), this.seenFrom);
    this.#move(eye);
  }

  /** Turn the hands where they are. */
  turn() {
    if (!this.room.inHeadset || this.options.inTheWorld) return;
    this.placement = turnedFurther(this.placement, coordinates(this.centre), EIGHTH_TURN);
    this.#move(this.room.viewer().eye);
  }

  /** @param {Vector} eye */
  #move(eye) {
    this.room.place(this.placement);
    const [x, y, z] = placed(this.placement, coordinates(this.centre));
    this.sign.stand([x, y + SIGN_ABOVE_HANDS_M, z], eye);
  }

  write() {
    const nowMs = performance.now();
    const words = this.#words(nowMs);
    const status = element("status");
    status.dataset.phase = this.connection.phase;
    if (element("status-text").textContent !== words) element("status-text").textContent = words;
    this.sign.write(words);
  }

  /** @param {number} nowMs */
  #words(nowMs) {
    if (this.connection.phase !== "open") return connectionInWords(this.connection);
    if (this.room.lost) return GRAPHICS_LOST;
    if (this.trouble) return this.trouble;
    if (this.ended) return FOOTAGE_OVER;
    const rate = number(this.arrivals.rateHz(nowMs), 0, "Hz");
    const latency = this.latency.median(nowMs);
    if (this.hands.hands.length === 0) return `No hand in view \u00b7 ${rate}`;
    return latency === null ? rate : `${number(latency, 0, "ms")} from exposure to screen \u00b7 ${rate}`;
  }
}

/** @param {Vector3} point @returns {Vector} */
function coordinates({ x, y, z }) {
  return [x, y, z];
}

/** The page cannot work: say why, in place of buttons that would do nothing. @param {unknown} error */
function complain(error) {
  element("controls").hidden = true;
  element("status").dataset.phase = "waiting";
  element("status-text").textContent = /** @type {Error} */ (error).message;
}

try {
  new Client(readOptions(window.location.href, takeToken())).start();
} catch (error) {
  complain(error);
}
