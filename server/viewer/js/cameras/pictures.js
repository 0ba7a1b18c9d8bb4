/** The panel of camera pictures: one card a camera, and a few pictures a second while the card can be seen. */

import { ServiceError, request } from "./api.js";
import { cameraState, dropsInWords, mayHavePictures, number } from "./words.js";

/** @typedef {import("./types.js").CameraInfo} CameraInfo */

const PERIOD_MS = 200;
const PAUSE_AFTER_FAILURE_MS = 1500;
/** A camera may miss a frame set now and then: its picture stays for so long. */
const PICTURE_KEPT_MS = 1500;
const WIDTHS_PX = [320, 480, 640];

export class Pictures {
  /** @param {HTMLElement} list @param {(cameraId: string) => void} onPick */
  constructor(list, onPick) {
    this.list = list;
    this.onPick = onPick;
    this.overlay = true;
    /** @type {Map<string, Card>} */
    this.cards = new Map();
    this.observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        this.cards.get(/** @type {HTMLElement} */ (target).dataset.camera ?? "")?.setOnScreen(isIntersecting);
      }
    });
    document.addEventListener("visibilitychange", () => {
      for (const card of this.cards.values()) card.wake();
    });
  }

  /** @param {CameraInfo[]} cameras In the order to show them in. */
  update(cameras) {
    const ids = new Set(cameras.map((camera) => camera.id));
    for (const [id, card] of this.cards) {
      if (ids.has(id)) continue;
      this.observer.unobserve(card.element);
      card.remove();
      this.cards.delete(id);
    }
    for (const camera of cameras) {
      let card = this.cards.get(camera.id);
      if (!card) {
        card = new Card(camera, this.onPick);
        card.overlay = this.overlay;
        this.cards.set(camera.id, card);
        this.list.append(card.element);
        this.observer.observe(card.element);
      }
      card.describe(camera);
    }
  }

  /** The service does not answer: what was known of the cameras is old. */
  setUnreachable() {
    for (const card of this.cards.values()) card.setUnreachable();
  }

  /** @param {boolean} overlay Whether the hand is drawn on the pictures. */
  setOverlay(overlay) {
    this.overlay = overlay;
    for (const card of this.cards.values()) card.overlay = overlay;
  }

  /** @param {string | null} cameraId The camera that the 3D view is from. */
  setCurrent(cameraId) {
    for (const [id, card] of this.cards) card.setCurrent(id === cameraId);
  }
}

class Card {
  /** @param {CameraInfo} camera @param {(cameraId: string) => void} onPick */
  constructor(camera, onPick) {
    this.id = camera.id;
    this.overlay = true;
    this.onScreen = false;
    this.hasPictures = false;
    this.shownMs = -Infinity;
    this.running = false;
    this.removed = false;
    const template = /** @type {HTMLTemplateElement} */ (document.getElementById("camera-card"));
    this.element = /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
    this.element.dataset.camera = camera.id;
    const part = (/** @type {string} */ name) => /** @type {any} */ (this.element.querySelector(`.${name}`));
    this.button = /** @type {HTMLButtonElement} */ (part("picture"));
    this.canvas = /** @type {HTMLCanvasElement} */ (part("picture-canvas"));
    this.notice = /** @type {HTMLElement} */ (part("picture-notice"));
    this.detail = /** @type {HTMLElement} */ (part("camera-detail"));
    this.stateText = /** @type {HTMLElement} */ (part("camera-state"));
    part("camera-name").textContent = camera.id;
    this.button.setAttribute("aria-label", `Picture of ${camera.id}: see the hand from this camera`);
    this.button.title = `View from ${camera.id}`;
    this.button.addEventListener("click", () => onPick(camera.id));
    if (camera.width && camera.height) this.button.style.aspectRatio = `${camera.width} / ${camera.height}`;
  }

  /** @param {CameraInfo} camera */
  describe(camera) {
    this.hasPictures = mayHavePictures(camera);
    this.element.dataset.state = this.hasPictures ? "ok" : "trouble";
    this.stateText.textContent = this.hasPictures && camera.fps ? number(camera.fps, 0, "fps") : cameraState(camera);
    if (!this.hasPictures) this.#notice(camera.message || cameraState(camera));
    this.wake();
    const drops = dropsInWords(camera.drops);
    const parts = [...(camera.warnings ?? []), camera.calibration ? "" : "Not calibrated", drops];
    this.detail.textContent = parts.filter(Boolean).join(" \u00b7 ");
    this.detail.title = this.detail.textContent;
    this.detail.hidden = this.detail.textContent === "";
  }

  setUnreachable() {
    this.hasPictures = false;
    this.element.dataset.state = "unknown";
    this.stateText.textContent = "";
    this.detail.hidden = true;
    this.#notice("Service not reachable");
  }

  /** @param {boolean} current */
  setCurrent(current) {
    this.button.setAttribute("aria-pressed", String(current));
  }

  /** @param {boolean} onScreen */
  setOnScreen(onScreen) {
    this.onScreen = onScreen;
    this.wake();
  }

  /** Start asking for pictures, unless that is going on already. */
  wake() {
    if (!this.running && this.#wanted()) void this.#run();
  }

  remove() {
    this.removed = true;
    this.element.remove();
  }

  #wanted() {
    return this.onScreen && this.hasPictures && !this.removed && !document.hidden;
  }

  /** One request at a time: a slow link lowers the rate, and never makes a queue. */
  async #run() {
    this.running = true;
    while (this.#wanted()) {
      const startMs = performance.now();
      const soon = await this.#showNext();
      const period = soon ? PERIOD_MS : PAUSE_AFTER_FAILURE_MS;
      await new Promise((resolve) => window.setTimeout(resolve, Math.max(20, period - (performance.now() - startMs))));
    }
    this.running = false;
  }

  /** @returns {Promise<boolean>} Whether to ask for the next one soon. */
  async #showNext() {
    try {
      const query = { overlay: this.overlay ? 1 : 0, width: this.#width() };
      const response = await request(`api/v1/cameras/${encodeURIComponent(this.id)}/preview.jpg`, query);
      const bitmap = await createImageBitmap(await response.blob());
      if (this.canvas.width !== bitmap.width || this.canvas.height !== bitmap.height) {
        [this.canvas.width, this.canvas.height] = [bitmap.width, bitmap.height];
        this.button.style.aspectRatio = `${bitmap.width} / ${bitmap.height}`;
      }
      this.canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
      bitmap.close();
      if (!this.hasPictures) return false;
      this.canvas.hidden = false;
      this.notice.hidden = true;
      this.shownMs = performance.now();
      return true;
    } catch (error) {
      if (this.hasPictures && performance.now() - this.shownMs < PICTURE_KEPT_MS) return true;
      this.#notice(error instanceof ServiceError ? error.message : "The picture cannot be read");
      return false;
    }
  }

  /**
   * Words in place of the picture: the last one is old, and to show it would say that the camera still sees that.
   *
   * @param {string} words
   */
  #notice(words) {
    this.canvas.hidden = true;
    this.notice.hidden = false;
    if (this.notice.textContent !== words) this.notice.textContent = words;
  }

  /** The smallest of a few widths that is sharp at the card's size. */
  #width() {
    const wanted = this.button.clientWidth * Math.min(window.devicePixelRatio, 2);
    return WIDTHS_PX.find((width) => width >= wanted) ?? WIDTHS_PX[WIDTHS_PX.length - 1];
  }
}
