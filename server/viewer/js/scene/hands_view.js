/** The hands of the newest message on the stage, and no others: a hand that is not in it is gone at once. */

import { Group } from "three";

import { HandEllipsoids } from "./hand_ellipsoids.js";
import { HandMesh } from "./hand_mesh.js";
import { HandSkeleton } from "./hand_skeleton.js";

/** @typedef {import("../types.js").Hand} Hand */
/** @typedef {import("../types.js").Skeleton} Skeleton */
/** @typedef {{mesh: boolean, skeleton: boolean, ellipsoids: boolean}} Layers */

export class HandsView {
  constructor() {
    this.object = new Group();
    /** @type {Layers} */
    this.layers = { mesh: true, skeleton: true, ellipsoids: false };
    /** @type {Skeleton | null} */
    this.skeleton = null;
    /** @type {Map<string, HandView>} */
    this.views = new Map();
    /** @type {Hand[]} */
    this.hands = [];
  }

  /** @param {Skeleton} skeleton */
  setSkeleton(skeleton) {
    this.skeleton = skeleton;
    for (const key of [...this.views.keys()]) this.#remove(key);
    this.show(this.hands);
  }

  /** @param {Partial<Layers>} layers */
  setLayers(layers) {
    Object.assign(this.layers, layers);
    this.show(this.hands);
  }

  /** @param {Hand[]} hands */
  show(hands) {
    this.hands = hands;
    if (this.skeleton === null) return;
    const present = new Set();
    for (const hand of hands) {
      if (hand.joints.length !== 3 * this.skeleton.parents.length) continue;
      const key = `${hand.side}-${hand.id}`;
      present.add(key);
      let view = this.views.get(key);
      if (view === undefined) {
        view = new HandView(hand.side, this.skeleton);
        this.views.set(key, view);
        this.object.add(view.object);
      }
      view.show(hand, this.layers);
    }
    for (const key of [...this.views.keys()]) {
      if (!present.has(key)) this.#remove(key);
    }
  }

  /** @param {string} key */
  #remove(key) {
    const view = this.views.get(key);
    if (view === undefined) return;
    this.object.remove(view.object);
    view.dispose();
    this.views.delete(key);
  }
}

class HandView {
  /** @param {string} side @param {Skeleton} skeleton */
  constructor(side, skeleton) {
    this.object = new Group();
    this.bones = new HandSkeleton(skeleton.joint_names, skeleton.parents);
    this.ellipsoids = new HandEllipsoids(skeleton.joint_names);
    const mesh = skeleton.mesh;
    const faces = mesh?.faces?.[side];
    this.surface = mesh && faces ? new HandMesh(side, faces, mesh.vertex_count) : null;
    this.object.add(this.bones.object, this.ellipsoids.object);
    if (this.surface) this.object.add(this.surface.object);
  }

  /** @param {Hand} hand @param {Layers} layers */
  show(hand, layers) {
    if (this.surface) {
      const whole = hand.vertices !== null && hand.vertices.length === 3 * this.surface.vertexCount;
      this.surface.object.visible = layers.mesh && whole;
      if (layers.mesh && whole && hand.vertices) this.surface.update(hand.vertices);
      this.surface.setSeeThrough(layers.skeleton || layers.ellipsoids);
    }
    this.bones.object.visible = layers.skeleton;
    if (layers.skeleton) this.bones.update(hand.joints);
    const uncertain = hand.covariance !== null && hand.covariance.length === 2 * hand.joints.length;
    this.ellipsoids.object.visible = layers.ellipsoids && uncertain;
    if (layers.ellipsoids && uncertain && hand.covariance) this.ellipsoids.update(hand.joints, hand.covariance);
  }

  dispose() {
    this.bones.dispose();
    this.ellipsoids.dispose();
    this.surface?.dispose();
  }
}
