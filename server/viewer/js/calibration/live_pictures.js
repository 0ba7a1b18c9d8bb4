/** The cameras' pictures while a board is shown to them: what is covered, and the corners of the moment. */

import { request } from "../api.js";
import { cssColour } from "../theme.js";
import { cameraInWords } from "./live_words.js";

const PERIOD_MS = 300;
const WIDTH_PX = 480;

export class LivePictures {
  /** @param {HTMLElement} list */
  constructor(list) {
    this.list = list;
    /** @type {Map<string, LivePicture>} */
    this.pictures = new Map();
  }

  /** @param {Record<string, any>} cameras The session's; none takes all pictures away. */
  show(cameras) {
    for (const [id, picture] of this.pictures) {
      if (id in cameras) continue;
      picture.remove();
      this.pictures.delete(id);
    }
    for (const [id, camera] of Object.entries(cameras)) {
      let picture = this.pictures.get(id);
      if (!picture) {
        picture = new LivePicture(id);
        this.pictures.set(id, picture);
        this.list.append(picture.element);
      }
      picture.describe(camera);
    }
  }
}

class LivePicture {
  /** @param {string} id */
  constructor(id) {
    this.id = id;
    this.camera = /** @type {any} */ (null);
    this.removed = false;
    this.picture = /** @type {ImageBitmap | null} */ (null);
    this.element = document.createElement("li");
    this.canvas = document.createElement("canvas");
    this.canvas.className = "live-picture";
    this.canvas.setAttribute("role", "img");
    this.words = document.createElement("p");
    this.element.append(this.canvas, this.words);
    void this.#run();
  }

  /** @param {any} camera */
  describe(camera) {
    this.camera = camera;
    const words = cameraInWords(this.id, camera);
    if (this.words.textContent !== words) this.words.textContent = words;
    this.canvas.setAttribute("aria-label", words);
    this.#draw();
  }

  remove() {
    this.removed = true;
    this.element.remove();
    this.#keep(null);
  }

  /** One request at a time, and none while nobody looks. */
  async #run() {
    while (!this.removed) {
      if (!document.hidden && this.element.offsetParent !== null) await this.#next();
      await new Promise((resolve) => window.setTimeout(resolve, PERIOD_MS));
    }
  }

  async #next() {
    try {
      const response = await this.#ask(encodeURIComponent(this.id));
      const bitmap = await createImageBitmap(await response.blob());
      if (this.removed) bitmap.close();
      else this.#keep(bitmap);
    } catch {
      this.#keep(null); // Its card says what is wrong with a camera; the coverage stays.
    }
  }

  /** A bitmap holds its memory until it is closed. @param {ImageBitmap | null} picture */
  #keep(picture) {
    this.picture?.close();
    this.picture = picture;
    this.#draw();
  }

  /** Corners are drawn on the picture that they were found in: on a newer one they would lag a board that moves. @param {string} id */
  #ask(id) {
    if (this.camera?.corners_px) return request(`api/v1/calibration/session/pictures/${id}.jpg`);
    return request(`api/v1/cameras/${id}/preview.jpg`, { overlay: 0, width: WIDTH_PX });
  }

  #draw() {
    const [width, height] = this.camera?.size ?? [4, 3];
    const scale = WIDTH_PX / width;
    const [canvasWidth, canvasHeight] = [WIDTH_PX, Math.round(height * scale)];
    if (this.canvas.width !== canvasWidth || this.canvas.height !== canvasHeight) {
      [this.canvas.width, this.canvas.height] = [canvasWidth, canvasHeight];
    }
    const pen = this.canvas.getContext("2d");
    if (!pen) return;
    pen.clearRect(0, 0, canvasWidth, canvasHeight);
    if (this.picture) pen.drawImage(this.picture, 0, 0, canvasWidth, canvasHeight);
    this.#drawCoverage(pen, canvasWidth, canvasHeight);
  }

  /** Covered cells are tinted, the more the more corners; empty ones are crossed. @param {CanvasRenderingContext2D} pen @param {number} width @param {number} height */
  #drawCoverage(pen, width, height) {
    const coverage = /** @type {number[][]} */ (this.camera?.coverage ?? []);
    coverage.forEach((row, i) =>
      row.forEach((count, j) => {
        const [cellWidth, cellHeight] = [width / row.length, height / coverage.length];
        const [x, y] = [j * cellWidth, i * cellHeight];
        if (count > 0) {
          pen.globalAlpha = 0.12 + 0.3 * Math.min(1, count / 40);
          pen.fillStyle = cssColour("--ok");
          pen.fillRect(x, y, cellWidth, cellHeight);
        } else {
          pen.globalAlpha = 0.8;
          pen.lineWidth = 2;
          pen.strokeStyle = cssColour("--wait");
          pen.beginPath();
          pen.moveTo(x + 3, y + cellHeight - 3);
          pen.lineTo(x + cellWidth - 3, y + 3);
          pen.stroke();
        }
        pen.globalAlpha = 1;
      }),
    );
  }
}
