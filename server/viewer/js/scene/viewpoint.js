/** Where the stage is seen from: orbiting by mouse, touch and keys, flights to a new view, and the view of a real camera. */

import { MathUtils, Matrix4, Quaternion, Vector3 } from "three";

import { OrbitControls } from "../../vendor/three/OrbitControls.js";

const FLIGHT_MS = 450;
export const ORBIT_FOV_DEG = 38;
const KEY_STEP = Math.PI / 24;
const UP = new Vector3(0, 1, 0);

/**
 * @typedef {object} View
 * @property {Vector3} position @property {Vector3} target @property {number} fovDeg
 * @property {Quaternion} [turn] Only where the view is not upright towards its target.
 */

export class Viewpoint {
  /**
   * @param {import("./stage.js").Stage} stage
   * @param {() => void} onTaken Called when the reader takes hold of the view.
   */
  constructor(stage, onTaken) {
    this.stage = stage;
    this.onTaken = onTaken;
    this.calm = window.matchMedia("(prefers-reduced-motion: reduce)");
    this.controls = new OrbitControls(stage.camera, stage.canvas);
    this.controls.enableDamping = !this.calm.matches;
    this.controls.dampingFactor = 0.14;
    this.controls.minDistance = 0.08;
    this.controls.maxDistance = 8;
    this.calm.addEventListener("change", () => (this.controls.enableDamping = !this.calm.matches));
    /** @type {{from: View & {turn: Quaternion}, to: View & {turn: Quaternion}, startMs: number | null} | null} */
    this.flight = null;
    /** Held: the view of a real camera, which may be rolled, as orbiting never is. */
    this.held = false;
    stage.animations.push((nowMs) => this.#animate(nowMs));
    // In the capture phase: the controls must be free again before they see the press themselves.
    const take = () => this.#release();
    stage.canvas.addEventListener("pointerdown", take, { capture: true });
    stage.canvas.addEventListener("wheel", take, { capture: true, passive: true });
    stage.canvas.addEventListener("keydown", (event) => this.#key(event));
    this.controls.addEventListener("start", () => this.onTaken());
  }

  /** Go to an upright view that can then be orbited. @param {Vector3} position @param {Vector3} target */
  orbit(position, target) {
    this.held = false;
    this.#fly({ position, target, fovDeg: ORBIT_FOV_DEG, turn: lookingAt(position, target) });
  }

  /**
   * Take a real camera's place.
   *
   * @param {object} pose Scene coordinates.
   * @param {Vector3} pose.centre @param {Vector3} pose.right @param {Vector3} pose.down @param {Vector3} pose.forward
   * @param {number} distance To what it looks at.
   * @param {{horizontal: number, vertical: number}} halfTangents Half of its picture at unit distance.
   */
  takePlace({ centre, right, down, forward }, distance, halfTangents) {
    // Three's cameras look along -z with y up; the rig's look along +z with y down.
    const axes = new Matrix4().makeBasis(right, down.clone().negate(), forward.clone().negate());
    const tangent = Math.max(halfTangents.vertical, halfTangents.horizontal / this.stage.camera.aspect);
    this.held = true;
    this.#fly({
      position: centre.clone(),
      target: centre.clone().addScaledVector(forward, distance),
      fovDeg: 2 * MathUtils.radToDeg(Math.atan(tangent)),
      turn: new Quaternion().setFromRotationMatrix(axes),
    });
  }

  /** @param {View & {turn: Quaternion}} to */
  #fly(to) {
    const { camera } = this.stage;
    const from = {
      position: camera.position.clone(),
      target: this.controls.target.clone(),
      fovDeg: camera.fov,
      turn: camera.quaternion.clone(),
    };
    this.controls.enabled = false;
    this.flight = { from, to, startMs: null };
  }

  /** @param {number} nowMs @returns {boolean} Whether the view has changed. */
  #animate(nowMs) {
    if (this.flight === null) return !this.held && this.controls.update();
    const { from, to } = this.flight;
    this.flight.startMs ??= nowMs;
    const progress = this.calm.matches ? 1 : Math.min(1, (nowMs - this.flight.startMs) / FLIGHT_MS);
    const eased = progress * progress * (3 - 2 * progress);
    const { camera } = this.stage;
    camera.position.lerpVectors(from.position, to.position, eased);
    camera.quaternion.slerpQuaternions(from.turn, to.turn, eased);
    camera.fov = MathUtils.lerp(from.fovDeg, to.fovDeg, eased);
    camera.updateProjectionMatrix();
    if (progress === 1) this.#land();
    return true;
  }

  #land() {
    if (this.flight === null) return;
    this.controls.target.copy(this.flight.to.target);
    this.flight = null;
    this.controls.enabled = !this.held;
  }

  /** Give the view to the reader, from wherever it is. */
  #release() {
    if (this.flight !== null) this.#land();
    this.held = false;
    this.controls.enabled = true;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const actions = /** @type {Record<string, () => void>} */ ({
      ArrowLeft: () => this.controls.rotateLeft(KEY_STEP),
      ArrowRight: () => this.controls.rotateLeft(-KEY_STEP),
      ArrowUp: () => this.controls.rotateUp(KEY_STEP),
      ArrowDown: () => this.controls.rotateUp(-KEY_STEP),
      "+": () => this.controls.dollyIn(1.1),
      "=": () => this.controls.dollyIn(1.1),
      "-": () => this.controls.dollyOut(1.1),
    });
    const action = actions[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.#release();
    this.onTaken();
    action();
  }
}

/** @param {Vector3} position @param {Vector3} target */
function lookingAt(position, target) {
  return new Quaternion().setFromRotationMatrix(new Matrix4().lookAt(position, target, UP));
}
