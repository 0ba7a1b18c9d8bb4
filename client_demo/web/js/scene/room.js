/** The room: renderer, light, ground, and the eye: orbiting on a screen, the viewer's own in a headset. */

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
import { OrbitControls } from "three/OrbitControls.js";

import { Ground } from "viewer/scene/ground.js";
import { Repaint } from "viewer/scene/repaint.js";

/** @typedef {import("../placement.js").Placement} Placement */
/** @typedef {import("../placement.js").Vector} Vector */

const FOV_DEG = 40;
const KEY_STEP = Math.PI / 24;
const GROUND_BELOW_HANDS_M = 0.25;
/** From the front and a little from above. */
const FIRST_DIRECTION = new Vector3(0.25, 0.35, 1).normalize();
const FIRST_DISTANCE_M = 0.62;
const UP = new Vector3(0, 1, 0);

export class Room {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {(nowMs: number) => boolean} onFrame Called before each picture; true asks for one.
   * @param {() => void} onDrawn
   * @throws {Error} If the browser has no WebGL, in words for the page.
   */
  constructor(canvas, onFrame, onDrawn) {
    this.canvas = canvas;
    this.onFrame = onFrame;
    this.onDrawn = onDrawn;
    this.renderer = rendererOn(canvas);
    this.renderer.xr.enabled = true;
    this.scene = new Scene();
    this.camera = new PerspectiveCamera(FOV_DEG, 1, 0.01, 60);
    /** The hands' own world, put somewhere in the viewer's space. */
    this.world = new Group();
    this.ground = new Ground();
    this.scene.add(this.world, this.ground.lines, this.camera);
    this.#light();
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.minDistance = 0.1;
    this.controls.maxDistance = 6;
    this.controls.enableDamping = !window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.repaint = new Repaint(this.renderer, canvas, {
      animate: (nowMs) => this.#animate(nowMs),
      fit: (width, height) => this.#fit(width, height),
      draw: () => this.#draw(),
    });
    this.controls.addEventListener("change", () => this.repaint.request());
    canvas.addEventListener("keydown", (event) => this.#key(event));
    this.lookAt(new Vector3());
  }

  get inHeadset() {
    return this.renderer.xr.isPresenting;
  }

  /** Whether the browser has taken the graphics away. */
  get lost() {
    return this.repaint.lost;
  }

  requestRender() {
    this.repaint.request();
  }

  /** Look at the hands from the front. @param {Vector3} centre */
  lookAt(centre) {
    this.controls.target.copy(centre);
    // A narrow picture must stand further back to hold two hands side by side.
    const distance = FIRST_DISTANCE_M * Math.max(1, 1.15 / this.camera.aspect);
    this.camera.position.copy(FIRST_DIRECTION).multiplyScalar(distance).add(centre);
    this.controls.update();
    this.ground.place(centre, centre.y - GROUND_BELOW_HANDS_M);
    this.repaint.request();
  }

  /** @param {string} line @param {string} background Colours; the background is seen only where there is no other. */
  setColours(line, background) {
    this.ground.setColour(line);
    this.background = new Color(background);
    this.repaint.request();
  }

  /** @param {Placement} placement */
  place({ position, yaw }) {
    this.world.position.set(...position);
    this.world.rotation.y = yaw;
  }

  /** In a headset that shows the real room, neither ground nor background lie over it. @param {"ar" | "vr" | ""} mode */
  setMode(mode) {
    this.scene.background = mode === "vr" ? (this.background ?? null) : null;
    this.ground.lines.visible = mode !== "ar";
    if (mode === "vr") this.ground.lines.position.set(0, 0, 0);
    if (mode === "") {
      // The headset's own picture angles were written into the camera.
      this.camera.fov = FOV_DEG;
      this.camera.updateProjectionMatrix();
      this.repaint.fit();
    }
    this.repaint.request();
  }

  /** @returns {{eye: Vector, gaze: Vector}} Of the viewer in a headset. */
  viewer() {
    const camera = this.renderer.xr.getCamera();
    const eye = new Vector3().setFromMatrixPosition(camera.matrixWorld);
    const gaze = new Vector3(0, 0, -1).applyQuaternion(new Quaternion().setFromRotationMatrix(camera.matrixWorld));
    return { eye: [eye.x, eye.y, eye.z], gaze: [gaze.x, gaze.y, gaze.z] };
  }

  #light() {
    this.scene.add(new HemisphereLight(0xffffff, 0x5d5853, 1.25));
    const key = new DirectionalLight(0xfff4e8, 2.2);
    key.position.set(-0.6, 1.2, 0.9);
    this.scene.add(key);
  }

  /** @param {number} width @param {number} height */
  #fit(width, height) {
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
  }

  /** @param {number} nowMs @returns {boolean} Whether anything has changed; in a headset the eye always moves. */
  #animate(nowMs) {
    const changed = this.onFrame(nowMs);
    if (!this.inHeadset) this.controls.update();
    return changed || this.inHeadset;
  }

  #draw() {
    this.renderer.render(this.scene, this.camera);
    this.onDrawn();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const turn = /** @type {Record<string, [number, number, number]>} */ ({
      ArrowLeft: [KEY_STEP, 0, 1],
      ArrowRight: [-KEY_STEP, 0, 1],
      ArrowUp: [0, KEY_STEP, 1],
      ArrowDown: [0, -KEY_STEP, 1],
      "+": [0, 0, 1 / 1.1],
      "=": [0, 0, 1 / 1.1],
      "-": [0, 0, 1.1],
    })[event.key];
    if (!turn || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const offset = this.camera.position.clone().sub(this.controls.target);
    const aside = new Vector3().crossVectors(UP, offset).normalize();
    offset.applyAxisAngle(UP, turn[0]);
    const raised = offset.clone().applyAxisAngle(aside, -turn[1]);
    // Over the top the picture would turn round.
    if (Math.abs(raised.y) < 0.98 * raised.length()) offset.copy(raised);
    this.camera.position.copy(this.controls.target).add(offset.multiplyScalar(turn[2]));
    this.controls.update();
  }
}

/** @param {HTMLCanvasElement} canvas */
function rendererOn(canvas) {
  try {
    return new WebGLRenderer({ canvas, antialias: true, alpha: true });
  } catch (cause) {
    throw new Error("This browser offers no 3D graphics (WebGL 2), so the hands cannot be drawn here", { cause });
  }
}
