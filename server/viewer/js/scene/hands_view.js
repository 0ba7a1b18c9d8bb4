/** The hands of the newest message on the stage, and no others: a hand that is not in it is gone at once. */

import { Group } from "three";

import { HandEllipsoids } from "./hand_ellipsoids.js";
import { HandMesh } from "./hand_mesh.js";
import { HandSkeleton } from "./hand_skeleton.js";
import { HandTrails } from "./hand_trails.js";

/** @typedef {import("../types.js").Hand} Hand */
/** @typedef {import("../types.js").Skeleton} Skeleton */
/** @typedef {{mesh: boolean, skeleton: boolean, ellipsoids: boolean, trails: boolean}} Layers */

export class HandsView {
  constructor() {
    this.object = new Group();
    /** @type {Layers} */
    this.layers = { mesh: true, skeleton: false, ellipsoids: false, trails: false };
    /** @type {Skeleton | null} */
    this.skeleton = null;
    /** @type {Map<string, HandView>} */
    this.views = new Map();
    /** @type {Hand[]} */
    this.hands = [];
    this.atMs = 0;
  }

  /** @param {Skeleton} skeleton */
  setSkeleton(skeleton) {
    this.skeleton = skeleton;
    for (const view of this.views.values()) this.#remove(view);
    this.views.clear();
    this.show(this.hands, this.atMs);
  }

  /** @param {Partial<Layers>} layers */
  setLayers(layers) {
    Object.assign(this.layers, layers);
    for (const view of this.views.values()) view.stale = true;
    this.show(this.hands, this.atMs);
  }

  /** @param {Hand[]} hands @param {number} atMs When they came, page clock. */
  show(hands, atMs) {
    this.hands = hands;
    this.atMs = atMs;
    if (this.skeleton === null) return;
    for (const view of this.views.values()) view.present = false;
    for (const hand of hands) {
      if (hand.joints.length !== 3 * this.skeleton.parents.length) continue;
      const key = `${hand.side}-${hand.id}`;
      let view = this.views.get(key);
      if (view === undefined) {
        view = new HandView(hand.side, this.skeleton);
        this.views.set(key, view);
        this.object.add(view.object);
      }
      view.present = true;
      view.show(hand, this.layers, atMs);
    }
    for (const [key, view] of this.views) {
      if (view.present) continue;
      this.#remove(view);
      this.views.delete(key);
    }
  }

  /** @param {HandView} view */
  #remove(view) {
    this.object.remove(view.object);
    view.dispose();
  }
}

class HandView {
  /** @param {string} side @param {Skeleton} skeleton */
  constructor(side, skeleton) {
    this.object = new Group();
    this.present = true;
    /** The hand that is shown already; the same one again is no news. @type {Hand | null} */
    this.shown = null;
    this.stale = true;
    this.bones = new HandSkeleton(skeleton.joint_names, skeleton.parents);
    this.ellipsoids = new HandEllipsoids(skeleton.joint_names);
    this.trails = new HandTrails(skeleton.joint_names, skeleton.parents);
    const mesh = skeleton.mesh;
    const faces = mesh?.faces?.[side];
    this.surface = mesh && faces ? new HandMesh(side, faces, mesh.vertex_count) : null;
    this.object.add(this.bones.object, this.ellipsoids.object, this.trails.object);
    if (this.surface) this.object.add(this.surface.object);
  }

  /** @param {Hand} hand @param {Layers} layers @param {number} atMs */
  show(hand, layers, atMs) {
    const news = hand !== this.shown;
    if (!news && !this.stale) return;
    this.shown = hand;
    this.stale = false;
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
    this.trails.object.visible = layers.trails;
    if (!layers.trails) this.trails.clear();
    else if (news) this.trails.add(hand.joints, atMs);
  }

  dispose() {
    this.bones.dispose();
    this.ellipsoids.dispose();
    this.trails.dispose();
    this.surface?.dispose();
  }
}
