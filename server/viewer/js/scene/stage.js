/** The 3D stage: renderer, lights, the eye, and what is done each frame. */

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

import { Repaint } from "./repaint.js";

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
    this.repaint = new Repaint(this.renderer, frame, {
      animate: (nowMs) => this.#animate(nowMs),
      fit: (width, height) => this.#fit(width, height),
      draw: () => this.#draw(),
    });
  }

  /** Of the canvas, in CSS pixels. */
  get size() {
    return this.repaint.size;
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
    this.repaint.request();
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

  /** @param {number} width @param {number} height */
  #fit(width, height) {
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
  }

  /** @param {number} nowMs @returns {boolean} Whether anything has changed. */
  #animate(nowMs) {
    let changed = false;
    for (const animate of this.animations) changed = animate(nowMs) || changed;
    return changed;
  }

  #draw() {
    this.renderer.render(this.scene, this.camera);
    for (const listener of this.afterRender) listener();
  }
}
