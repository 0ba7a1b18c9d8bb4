/** The panel of camera pictures: one card a camera, and a few pictures a second while one of them can be seen. */

import { CameraCard } from "./camera_card.js";

/** @typedef {import("../types.js").CameraInfo} CameraInfo */

export class Pictures {
  /**
   * @param {HTMLElement} list
   * @param {HTMLElement} pinned Where pictures lie that were put on the stage.
   * @param {object} listeners
   * @param {(cameraId: string) => void} listeners.onPick
   * @param {(cameraIds: string[]) => void} listeners.onPinned Told which pictures are on the stage.
   */
  constructor(list, pinned, { onPick, onPinned }) {
    this.list = list;
    this.pinned = pinned;
    this.onPick = onPick;
    this.onPinned = onPinned;
    this.overlay = true;
    /** @type {Map<string, CameraCard>} */
    this.cards = new Map();
    /** Those to be on the stage, also while their cameras are not known yet. @type {Set<string>} */
    this.wanted = new Set();
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
        card = new CameraCard(camera, {
          onPick: this.onPick,
          onPin: (id) => this.pin(id, !this.wanted.has(id)),
        });
        card.overlay = this.overlay;
        this.cards.set(camera.id, card);
        this.list.append(card.element);
        this.observer.observe(card.element);
        if (this.wanted.has(camera.id)) card.setPinned(this.pinned);
      }
      card.describe(camera);
    }
  }

  /** @param {string} cameraId @param {boolean} pinned Whether its picture lies on the stage. */
  pin(cameraId, pinned) {
    if (pinned) this.wanted.add(cameraId);
    else this.wanted.delete(cameraId);
    this.cards.get(cameraId)?.setPinned(pinned ? this.pinned : null);
    this.onPinned([...this.wanted]);
  }

  /** The service does not answer: what was known of the cameras is old. */
  setUnreachable() {
    for (const card of this.cards.values()) card.setUnreachable();
  }

  /** @param {boolean} overlay Whether the hands are drawn on the pictures. */
  setOverlay(overlay) {
    this.overlay = overlay;
    for (const card of this.cards.values()) card.overlay = overlay;
  }

  /** @param {string | null} cameraId The camera that the 3D view is from. */
  setCurrent(cameraId) {
    for (const [id, card] of this.cards) card.setCurrent(id === cameraId);
  }
}
