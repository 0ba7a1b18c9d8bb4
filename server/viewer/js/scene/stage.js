/** The 3D stage: renderer, lights, and a loop that draws only when something has changed. */

import {
  Color,
  DirectionalLight,
  Group,
  HemisphereLight,
  PerspectiveCamera,
  Quaternion,
  Scene,
  Vector3,
  WebGLRenderer,
} from "three";

const SCENE_UP = new Vector3(0, 1, 0);

export class Stage {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLElement} frame What the canvas fills.
   * @throws {Error} If the browser has no WebGL.
   */
  constructor(canvas, frame) {
    this.canvas = canvas;
    this.renderer = new WebGLRenderer({ canvas, antialias: true, alpha: true, powerPreference: "high-performance" });
    this.renderer.setClearColor(new Color(0), 0);
    this.scene = new Scene();
    this.camera = new PerspectiveCamera(38, 1, 0.01, 50);
    this.camera.position.set(0.5, 0.4, 0.9);
    this.camera.lookAt(0, 0, 0);
    /** Everything with world coordinates. It is turned so that the world's up, which no file tells, is the scene's. */
    this.world = new Group();
    this.scene.add(this.world, this.camera);
    this.#light();
    /** @type {((nowMs: number) => boolean)[]} Called each frame; true asks for a picture. */
    this.animations = [];
    /** @type {(() => void)[]} Called after each picture; they make nothing new to draw. */
    this.afterRender = [];
    this.needsRender = true;
    this.size = { width: 1, height: 1 };
    new ResizeObserver(() => this.#resize(frame)).observe(frame);
    this.#resize(frame);
    this.renderer.setAnimationLoop((nowMs) => this.#frame(nowMs));
  }

  #light() {
    this.scene.add(new HemisphereLight(0xffffff, 0x5d5853, 1.15));
    // The key comes over the viewer's left shoulder, wherever the viewer goes; the rim comes from behind.
    const key = new DirectionalLight(0xfff4e8, 2.3);
    key.position.set(-0.6, 0.8, 0.7);
    key.target.position.set(0, 0, -1);
    this.camera.add(key, key.target);
    const rim = new DirectionalLight(0xdfe9ff, 0.9);
    rim.position.set(0.8, 0.5, -1.6);
    this.camera.add(rim, rim.target);
  }

  requestRender() {
    this.needsRender = true;
  }

  /** @param {[number, number, number]} upWorld */
  setWorldUp(upWorld) {
    this.world.quaternion.copy(new Quaternion().setFromUnitVectors(new Vector3(...upWorld), SCENE_UP));
    this.world.updateMatrixWorld(true);
    this.requestRender();
  }

  /** @param {ArrayLike<number>} pointWorld @returns {Vector3} The point in the scene's coordinates. */
  toScene(pointWorld) {
    return this.world.localToWorld(new Vector3(pointWorld[0], pointWorld[1], pointWorld[2]));
  }

  /** @param {HTMLElement} frame */
  #resize(frame) {
    const { clientWidth: width, clientHeight: height } = frame;
    if (width === 0 || height === 0) return;
    this.size = { width, height };
    this.renderer.setPixelRatio(Math.min(window.devicePixelRatio, 2));
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    this.requestRender();
  }

  /** @param {number} nowMs */
  #frame(nowMs) {
    for (const animate of this.animations) {
      if (animate(nowMs)) this.needsRender = true;
    }
    if (!this.needsRender) return;
    this.needsRender = false;
    this.renderer.render(this.scene, this.camera);
    for (const listener of this.afterRender) listener();
  }
}
