/** The whole 3D view: puts hands, cameras and ground on the stage, and chooses where to look from. */

import { Vector3 } from "three";

import { cameraPose, inferUp, lookPoint, meanDistance } from "../geometry.js";
import { cssColour } from "../theme.js";
import { framingPosition } from "./framing.js";
import { Ground } from "./ground.js";
import { HandsView } from "./hands_view.js";
import { RigMarks } from "./rig_marks.js";
import { RigView } from "./rig_view.js";
import { Stage } from "./stage.js";
import { ORBIT_FOV_DEG, Viewpoint } from "./viewpoint.js";

/** @typedef {import("../types.js").CameraInfo} CameraInfo */
/** @typedef {import("../types.js").HandsMessage} HandsMessage */

const DEFAULT_DISTANCE_M = 0.6;

export class Theatre {
  /**
   * @param {object} elements
   * @param {HTMLCanvasElement} elements.canvas @param {HTMLElement} elements.frame @param {HTMLElement} elements.labels
   * @param {object} listeners
   * @param {(cameraId: string | null) => void} listeners.onViewFrom Called with the camera that the view is from, or null.
   * @param {(message: HandsMessage, nowMs: number) => void} listeners.onShown Called when a message's hands were drawn.
   * @throws {Error} If the browser has no WebGL.
   */
  constructor({ canvas, frame, labels }, { onViewFrom, onShown }) {
    /** @param {string | null} id */
    this.onViewFrom = (id) => {
      this.rig.setSeenFrom(id);
      onViewFrom(id);
    };
    this.stage = new Stage(canvas, frame);
    this.hands = new HandsView();
    this.rig = new RigView(this.stage, labels, (id) => this.viewFrom(id));
    this.marks = new RigMarks(this.stage);
    this.ground = new Ground();
    this.stage.world.add(this.hands.object, this.rig.object, this.marks.object);
    this.stage.scene.add(this.ground.lines);
    /** @type {CameraInfo[]} */
    this.cameras = [];
    this.rigDistanceM = DEFAULT_DISTANCE_M;
    this.lookPointWorld = /** @type {[number, number, number]} */ ([0, 0, 0]);
    this.taken = false;
    this.framedOnHands = false;
    /** The newest message, until a picture is made of it. @type {{message: HandsMessage, receivedMs: number} | null} */
    this.waiting = null;
    /** In the picture that is being drawn. @type {HandsMessage | null} */
    this.drawing = null;
    this.stage.animations.push(() => this.#take());
    this.stage.afterRender.push(() => {
      if (this.drawing) onShown(this.drawing, performance.now());
      this.drawing = null;
    });
    this.viewpoint = new Viewpoint(this.stage, () => {
      this.taken = true;
      this.onViewFrom(null);
    });
    this.readColours();
    this.resetView();
  }

  readColours() {
    this.ground.setColour(cssColour("--grid"));
    this.rig.setColours({ line: cssColour("--frustum"), idle: cssColour("--frustum-idle") });
    this.marks.setColours({ covered: cssColour("--ok"), small: cssColour("--accent"), large: cssColour("--bad") });
    this.stage.requestRender();
  }

  /** @param {CameraInfo[]} cameras */
  setCameras(cameras) {
    this.cameras = cameras.filter((camera) => camera.calibration);
    if (this.cameras.length > 0) {
      const calibrations = this.cameras.map((camera) => /** @type {any} */ (camera.calibration));
      this.stage.setWorldUp(inferUp(calibrations));
      this.lookPointWorld = lookPoint(calibrations);
      this.rigDistanceM = meanDistance(calibrations, this.lookPointWorld);
    }
    const depthM = Math.min(0.14, Math.max(0.03, 0.13 * this.rigDistanceM));
    this.rig.setCameras(this.cameras, depthM);
    this.marks.setCameras(this.cameras, depthM);
    const focus = this.stage.toScene(this.lookPointWorld);
    this.ground.place(focus, focus.y - Math.min(0.35, Math.max(0.12, 0.28 * this.rigDistanceM)));
    this.readColours();
    this.framedOnHands = false;
    if (!this.taken) this.resetView();
  }

  /**
   * Show a message's hands in the next picture; where messages come faster than pictures, the newest wins.
   *
   * @param {HandsMessage} message @param {number} receivedMs Page clock.
   */
  show(message, receivedMs) {
    this.waiting = { message, receivedMs };
  }

  /** Show no hands. */
  clear() {
    this.waiting = null;
    this.hands.show([], 0);
    this.rig.setUsed([]);
    this.stage.requestRender();
  }

  /** @returns {boolean} Whether there is something new to draw. */
  #take() {
    if (this.waiting === null) return false;
    const { message, receivedMs } = this.waiting;
    this.waiting = null;
    this.drawing = message;
    this.hands.show(message.hands, receivedMs);
    this.rig.setUsed(message.views);
    if (message.hands.length > 0 && !this.framedOnHands && !this.taken) this.resetView();
    return true;
  }

  /** @param {import("../types.js").Skeleton} skeleton */
  setSkeleton(skeleton) {
    this.hands.setSkeleton(skeleton);
    this.stage.requestRender();
  }

  /** @param {string} layer @param {boolean} visible */
  setLayer(layer, visible) {
    if (layer === "cameras") this.rig.setVisible(visible);
    else if (layer === "coverage" || layer === "residuals") this.marks.setLayer(layer, visible);
    else if (layer === "ground") this.ground.lines.visible = visible;
    else this.hands.setLayers({ [layer]: visible });
    this.stage.requestRender();
  }

  /** Look at the hands, or where they are expected. */
  resetView() {
    this.taken = false;
    const hands = this.#handCentres();
    this.framedOnHands = hands.length > 0;
    const focus = this.#focus(hands);
    const centres = this.cameras.map((camera) => this.stage.toScene(cameraPose(/** @type {any} */ (camera.calibration)).centre));
    const apart = hands.length > 1 ? hands[1].clone().sub(hands[0]).normalize() : null;
    this.viewpoint.orbit(framingPosition(focus, centres, ORBIT_FOV_DEG, this.stage.camera.aspect, apart), focus);
    this.onViewFrom(null);
  }

  /** @param {string} cameraId */
  viewFrom(cameraId) {
    const camera = this.cameras.find((each) => each.id === cameraId);
    if (!camera?.calibration) return;
    const pose = cameraPose(camera.calibration);
    const turned = (/** @type {number[]} */ axis) =>
      new Vector3(axis[0], axis[1], axis[2]).applyQuaternion(this.stage.world.quaternion);
    const centre = this.stage.toScene(pose.centre);
    const axes = { centre, right: turned(pose.right), down: turned(pose.down), forward: turned(pose.forward) };
    const focus = this.#focus(this.#handCentres());
    const K = camera.calibration.K;
    this.taken = true;
    this.viewpoint.takePlace(axes, Math.max(0.1, focus.distanceTo(centre)), {
      horizontal: camera.width / (2 * K[0][0]),
      vertical: camera.height / (2 * K[1][1]),
    });
    this.onViewFrom(cameraId);
  }

  /** @returns {Vector3[]} Of each hand, scene coordinates. */
  #handCentres() {
    return this.hands.hands.map(({ joints }) => {
      const centre = new Vector3();
      for (let i = 0; i + 2 < joints.length; i += 3) centre.add(new Vector3(joints[i], joints[i + 1], joints[i + 2]));
      return this.stage.world.localToWorld(centre.divideScalar(joints.length / 3));
    });
  }

  /** @param {Vector3[]} hands @returns {Vector3} What to look at, scene coordinates. */
  #focus(hands) {
    if (hands.length === 0) return this.stage.toScene(this.lookPointWorld);
    return hands.reduce((sum, hand) => sum.add(hand), new Vector3()).divideScalar(hands.length);
  }
}
