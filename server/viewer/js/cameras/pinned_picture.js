/** A camera's picture on the stage: picture in picture. */

export class PinnedPicture {
  /** @param {string} cameraId @param {() => void} onClose */
  constructor(cameraId, onClose) {
    const template = /** @type {HTMLTemplateElement} */ (document.getElementById("pinned-picture"));
    this.element = /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
    const part = (/** @type {string} */ name) => /** @type {any} */ (this.element.querySelector(`.${name}`));
    this.canvas = /** @type {HTMLCanvasElement} */ (part("picture-canvas"));
    this.notice = /** @type {HTMLElement} */ (part("picture-notice"));
    part("pinned-name").textContent = cameraId;
    this.canvas.setAttribute("aria-label", `Picture of ${cameraId}`);
    const close = /** @type {HTMLButtonElement} */ (part("pinned-close"));
    close.setAttribute("aria-label", `Take the picture of ${cameraId} from the stage`);
    close.addEventListener("click", onClose);
  }

  /** @param {HTMLCanvasElement} picture What the camera's card shows. */
  copy(picture) {
    if (picture.width === 0 || picture.height === 0) return;
    if (this.canvas.width !== picture.width || this.canvas.height !== picture.height) {
      [this.canvas.width, this.canvas.height] = [picture.width, picture.height];
    }
    this.canvas.getContext("2d")?.drawImage(picture, 0, 0);
  }

  /** @param {string} words In place of the picture; none show the picture. */
  showNotice(words) {
    this.canvas.hidden = words !== "";
    this.notice.hidden = words === "";
    if (this.notice.textContent !== words) this.notice.textContent = words;
  }
}
