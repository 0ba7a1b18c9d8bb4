/** The whole 3D view: puts hands, cameras and ground on the stage, and chooses where to look from. */

import { Vector3 } from "three";

import { cameraPose, inferUp, lookPoint, meanDistance } from "../geometry.js";
import { cssColour } from "../theme.js";
import { framingPosition } from "./framing.js";
import { Ground } from "./ground.js";
import { HandsView } from "./hands_view.js";
import { RigView } from "./rig_view.js";
import { Stage } from "./stage.js";
import { Viewpoint } from "./viewpoint.js";

/** @typedef {import("../types.js").CameraInfo} CameraInfo */
/** @typedef {import("../types.js").Hand} Hand */

const DEFAULT_DISTANCE_M = 0.6;

export class Theatre {
  /**
   * @param {object} elements
   * @param {HTMLCanvasElement} elements.canvas @param {HTMLElement} elements.frame @param {HTMLElement} elements.labels
   * @param {(cameraId: string | null) => void} onViewFrom Called with the camera that the view is from; null for none.
   * @throws {Error} If the browser has no WebGL.
   */
  constructor({ canvas, frame, labels }, onViewFrom) {
    /** @param {string | null} id */
    this.onViewFrom = (id) => {
      this.rig.setSeenFrom(id);
      onViewFrom(id);
    };
    this.stage = new Stage(canvas, frame);
    this.hands = new HandsView();
    this.rig = new RigView(this.stage, labels, (id) => this.viewFrom(id));
    this.ground = new Ground();
    this.stage.world.add(this.hands.object, this.rig.object);
    this.stage.scene.add(this.ground.lines);
    /** @type {CameraInfo[]} */
    this.cameras = [];
    this.rigDistanceM = DEFAULT_DISTANCE_M;
    this.lookPointWorld = /** @type {[number, number, number]} */ ([0, 0, 0]);
    this.taken = false;
    this.framedOnHands = false;
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
    this.rig.setCameras(this.cameras, Math.min(0.14, Math.max(0.03, 0.13 * this.rigDistanceM)));
    const focus = this.stage.toScene(this.lookPointWorld);
    this.ground.place(focus, focus.y - Math.min(0.35, Math.max(0.12, 0.28 * this.rigDistanceM)));
    this.readColours();
    this.framedOnHands = false;
    if (!this.taken) this.resetView();
  }

  /** @param {Hand[]} hands @param {string[]} viewsUsed */
  show(hands, viewsUsed) {
    this.hands.show(hands);
    this.rig.setUsed(viewsUsed);
    this.stage.requestRender();
    if (hands.length > 0 && !this.framedOnHands && !this.taken) this.resetView();
  }

  /** @param {import("../types.js").Skeleton} skeleton */
  setSkeleton(skeleton) {
    this.hands.setSkeleton(skeleton);
    this.stage.requestRender();
  }

  /** @param {string} layer @param {boolean} visible */
  setLayer(layer, visible) {
    if (layer === "cameras") this.rig.setVisible(visible);
    else if (layer === "ground") this.ground.lines.visible = visible;
    else this.hands.setLayers({ [layer]: visible });
    this.stage.requestRender();
  }

  /** Look at the hands, or where they are expected. */
  resetView() {
    this.taken = false;
    this.framedOnHands = this.hands.hands.length > 0;
    const focus = this.#handsCentre() ?? this.stage.toScene(this.lookPointWorld);
    const centres = this.cameras.map((camera) => this.stage.toScene(cameraPose(/** @type {any} */ (camera.calibration)).centre));
    this.viewpoint.orbit(framingPosition(focus, centres, 38, this.stage.camera.aspect), focus);
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
    const focus = this.#handsCentre() ?? this.stage.toScene(this.lookPointWorld);
    const K = camera.calibration.K;
    this.taken = true;
    this.viewpoint.takePlace(axes, Math.max(0.1, focus.distanceTo(centre)), {
      horizontal: camera.width / (2 * K[0][0]),
      vertical: camera.height / (2 * K[1][1]),
    });
    this.onViewFrom(cameraId);
  }

  /** @returns {Vector3 | null} Scene coordinates. */
  #handsCentre() {
    const centre = new Vector3();
    let count = 0;
    for (const { joints } of this.hands.hands) {
      for (let i = 0; i + 2 < joints.length; i += 3, count++) centre.add(new Vector3(joints[i], joints[i + 1], joints[i + 2]));
    }
    return count ? this.stage.world.localToWorld(centre.divideScalar(count)) : null;
  }
}
