/** One camera in the panel: its picture, which may lie on the stage too, its state, and what to do about it. */

import { ServiceError, request } from "../api.js";
import { number } from "../words.js";
import { cameraLevel, cameraRemarks, cameraState, cameraTrouble, mayHavePictures } from "./camera_words.js";
import { PinnedPicture } from "./pinned_picture.js";

/** @typedef {import("../types.js").CameraInfo} CameraInfo */

const PERIOD_MS = 200;
const PAUSE_AFTER_FAILURE_MS = 1500;
/** A camera may miss a frame set now and then: its picture stays for so long. */
const PICTURE_KEPT_MS = 1500;
const WIDTHS_PX = [320, 480, 640];

export class CameraCard {
  /**
   * @param {CameraInfo} camera
   * @param {object} listeners
   * @param {(cameraId: string) => void} listeners.onPick @param {(cameraId: string) => void} listeners.onPin
   */
  constructor(camera, { onPick, onPin }) {
    this.id = camera.id;
    this.onPin = onPin;
    this.overlay = true;
    this.onScreen = false;
    this.hasPictures = false;
    this.shownMs = -Infinity;
    this.running = false;
    this.removed = false;
    /** @type {PinnedPicture | null} */
    this.pinned = null;
    const template = /** @type {HTMLTemplateElement} */ (document.getElementById("camera-card"));
    this.element = /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
    this.element.dataset.camera = camera.id;
    const part = (/** @type {string} */ name) => /** @type {any} */ (this.element.querySelector(`.${name}`));
    this.button = /** @type {HTMLButtonElement} */ (part("picture"));
    this.canvas = /** @type {HTMLCanvasElement} */ (part("picture-canvas"));
    this.notice = /** @type {HTMLElement} */ (part("picture-notice"));
    this.trouble = /** @type {HTMLElement} */ (part("camera-trouble"));
    this.detail = /** @type {HTMLElement} */ (part("camera-detail"));
    this.stateText = /** @type {HTMLElement} */ (part("camera-state"));
    this.rateText = /** @type {HTMLElement} */ (part("camera-rate"));
    this.pinButton = /** @type {HTMLButtonElement} */ (part("pin"));
    part("camera-name").textContent = camera.id;
    this.button.setAttribute("aria-label", `Picture of ${camera.id}: see the hand from this camera`);
    this.button.title = `View from ${camera.id}`;
    this.button.addEventListener("click", () => onPick(camera.id));
    this.pinButton.addEventListener("click", () => onPin(camera.id));
    this.setPinned(null);
    if (camera.width && camera.height) this.#setProportions(camera.width, camera.height);
  }

  /** @param {CameraInfo} camera */
  describe(camera) {
    this.hasPictures = mayHavePictures(camera);
    this.element.dataset.level = cameraLevel(camera);
    write(this.stateText, cameraState(camera));
    write(this.rateText, this.hasPictures && camera.fps ? number(camera.fps, 0, "fps") : "");
    if (!this.hasPictures) this.#notice(cameraState(camera));
    write(this.trouble, cameraTrouble(camera));
    write(this.detail, cameraRemarks(camera));
    this.detail.title = this.detail.textContent ?? "";
    this.wake();
  }

  setUnreachable() {
    this.hasPictures = false;
    this.element.dataset.level = "unknown";
    write(this.stateText, "");
    write(this.rateText, "");
    write(this.trouble, "");
    write(this.detail, "");
    this.#notice("Service not reachable");
  }

  /** @param {boolean} current */
  setCurrent(current) {
    this.button.setAttribute("aria-pressed", String(current));
  }

  /** @param {HTMLElement | null} place Where the picture lies on the stage; null takes it from there. */
  setPinned(place) {
    if (place !== null && this.pinned === null) {
      this.pinned = new PinnedPicture(this.id, () => {
        this.onPin(this.id);
        this.pinButton.focus();
      });
      place.append(this.pinned.element);
      this.pinned.copy(this.canvas);
      this.pinned.showNotice(this.canvas.hidden ? (this.notice.textContent ?? "") : "");
    } else if (place === null) {
      this.pinned?.element.remove();
      this.pinned = null;
    }
    const on = this.pinned !== null;
    this.pinButton.setAttribute("aria-pressed", String(on));
    const words = on ? `Take the picture of ${this.id} from the stage` : `Put the picture of ${this.id} on the stage`;
    this.pinButton.setAttribute("aria-label", words);
    this.pinButton.title = words;
    this.wake();
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
    this.pinned?.element.remove();
  }

  #wanted() {
    return (this.onScreen || this.pinned !== null) && this.hasPictures && !this.removed && !document.hidden;
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
        this.#setProportions(bitmap.width, bitmap.height);
      }
      this.canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
      bitmap.close();
      if (!this.hasPictures) return false;
      this.canvas.hidden = false;
      this.notice.hidden = true;
      this.pinned?.copy(this.canvas);
      this.pinned?.showNotice("");
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
    this.pinned?.showNotice(words);
  }

  /** @param {number} width @param {number} height */
  #setProportions(width, height) {
    this.button.style.aspectRatio = `${width} / ${height}`;
  }

  /** The smallest of a few widths that is sharp at the size that it is seen in. */
  #width() {
    const seen = Math.max(this.button.clientWidth, this.pinned?.element.clientWidth ?? 0);
    const wanted = seen * Math.min(window.devicePixelRatio, 2);
    return WIDTHS_PX.find((width) => width >= wanted) ?? WIDTHS_PX[WIDTHS_PX.length - 1];
  }
}

/** @param {HTMLElement} element Hidden where there are no words. @param {string} words */
function write(element, words) {
  if (element.textContent !== words) element.textContent = words;
  element.hidden = words === "";
}
