/** When a 3D canvas is drawn: when something has changed, when its size has, and when its graphics have come back. */

const MOST_PIXELS_A_POINT = 2;

export class Repaint {
  /**
   * @param {import("three").WebGLRenderer} renderer
   * @param {HTMLElement} frame What the canvas fills.
   * @param {object} how
   * @param {(nowMs: number) => boolean} how.animate Called each frame; true asks for a picture.
   * @param {(width: number, height: number) => void} how.fit Called with a new size, in CSS pixels.
   * @param {() => void} how.draw
   */
  constructor(renderer, frame, { animate, fit, draw }) {
    this.renderer = renderer;
    this.frame = frame;
    this.how = { animate, fit, draw };
    this.needed = true;
    /** Whether the browser has taken the graphics away, as after a reset of the graphics card. */
    this.lost = false;
    this.size = { width: 0, height: 0, ratio: 0 };
    const canvas = renderer.domElement;
    canvas.addEventListener("webglcontextlost", () => (this.lost = true));
    canvas.addEventListener("webglcontextrestored", () => {
      this.lost = false;
      this.request();
    });
    this.fit();
    // A new size empties the canvas, and the frame's own turn is over by then: to wait for the next would show nothing once.
    new ResizeObserver(() => {
      if (this.fit()) this.#draw();
    }).observe(frame);
    renderer.setAnimationLoop((nowMs) => this.#frame(nowMs));
  }

  request() {
    this.needed = true;
  }

  /** @returns {boolean} Whether the size is a new one. In a headset the canvas has the size that this wants. */
  fit() {
    const { clientWidth: width, clientHeight: height } = this.frame;
    const ratio = Math.min(window.devicePixelRatio, MOST_PIXELS_A_POINT);
    const same = width === this.size.width && height === this.size.height && ratio === this.size.ratio;
    if (same || width === 0 || height === 0 || this.renderer.xr.isPresenting) return false;
    this.size = { width, height, ratio };
    this.renderer.setPixelRatio(ratio);
    this.renderer.setSize(width, height, false);
    this.how.fit(width, height);
    this.request();
    return true;
  }

  /** @param {number} nowMs */
  #frame(nowMs) {
    if (this.how.animate(nowMs)) this.request();
    if (this.needed) this.#draw();
  }

  #draw() {
    // What is not drawn stays to be drawn.
    if (this.lost) return;
    this.needed = false;
    this.how.draw();
  }
}
