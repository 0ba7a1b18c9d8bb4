/** The hands of the newest message, and no others: with skin, and on request with joints and their uncertainty. */

import { Group, Vector3 } from "three";

import { HandEllipsoids } from "viewer/scene/hand_ellipsoids.js";
import { HandSkeleton } from "viewer/scene/hand_skeleton.js";

import { SkinnedHand, SkinnedHandParts } from "./skinned_hand.js";

/** @typedef {import("viewer/types.js").Hand} Hand */
/** @typedef {{left: import("../glb.js").SkinnedModel, right: import("../glb.js").SkinnedModel}} Models */
/** @typedef {{skin: boolean, joints: boolean, ellipsoids: boolean}} Layers */

export class TrackedHands {
  constructor() {
    this.object = new Group();
    /** @type {Layers} */
    this.layers = { skin: true, joints: false, ellipsoids: false };
    /** @type {{names: string[], parents: number[]} | null} */
    this.skeleton = null;
    /** @type {Models | null} */
    this.models = null;
    /** @type {Map<string, SkinnedHandParts>} By side. */
    this.parts = new Map();
    /** @type {Map<string, TrackedHand>} */
    this.views = new Map();
    /** @type {Hand[]} */
    this.hands = [];
  }

  /** @param {string[]} names @param {number[]} parents Of the stream's joints. */
  setSkeleton(names, parents) {
    this.skeleton = { names, parents };
    this.#startAgain();
  }

  /** @param {Models} models */
  setModels(models) {
    this.models = models;
    this.#startAgain();
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
    for (const view of this.views.values()) view.present = false;
    for (const hand of hands) {
      if (hand.joints.length !== 3 * this.skeleton.parents.length) continue;
      const key = `${hand.side}-${hand.id}`;
      let view = this.views.get(key);
      if (view === undefined) {
        view = new TrackedHand(this.skeleton, this.parts.get(hand.side) ?? null);
        this.views.set(key, view);
        this.object.add(view.object);
      }
      view.present = true;
      view.show(hand, this.layers);
    }
    for (const [key, view] of this.views) {
      if (view.present) continue;
      this.object.remove(view.object);
      view.dispose();
      this.views.delete(key);
    }
  }

  /** @param {Vector3} into @returns {boolean} Whether there are hands to tell their centre of, in their own world. */
  centre(into) {
    into.set(0, 0, 0);
    let count = 0;
    for (const { joints } of this.hands) {
      for (let i = 0; i + 2 < joints.length; i += 3, count++) {
        into.x += joints[i];
        into.y += joints[i + 1];
        into.z += joints[i + 2];
      }
    }
    if (count > 0) into.divideScalar(count);
    return count > 0;
  }

  /** Other joints or other models: nothing that was made of the old ones fits. */
  #startAgain() {
    const hands = this.hands;
    this.show([]);
    for (const parts of this.parts.values()) parts.dispose();
    this.parts.clear();
    const { models, skeleton } = this;
    if (models !== null && skeleton !== null) {
      for (const side of /** @type {const} */ (["left", "right"])) {
        this.parts.set(side, new SkinnedHandParts(side, models[side], skeleton.names));
      }
    }
    this.show(hands);
  }
}

class TrackedHand {
  /** @param {{names: string[], parents: number[]}} skeleton @param {SkinnedHandParts | null} parts */
  constructor({ names, parents }, parts) {
    this.object = new Group();
    this.present = true;
    this.skin = parts === null ? null : new SkinnedHand(parts);
    this.bones = new HandSkeleton(names, parents);
    this.ellipsoids = new HandEllipsoids(names);
    this.object.add(this.bones.object, this.ellipsoids.object);
    if (this.skin) this.object.add(this.skin.object);
  }

  /** @param {Hand} hand @param {Layers} layers */
  show(hand, layers) {
    const turned = hand.orientations !== null && 3 * hand.orientations.length === 4 * hand.joints.length;
    const skinned = layers.skin && turned && this.skin !== null;
    if (this.skin) {
      this.skin.object.visible = skinned;
      this.skin.setSeeThrough(layers.joints || layers.ellipsoids);
      if (skinned && hand.orientations) this.skin.update(hand.joints, hand.orientations);
    }
    // Where there is no skin to show, the joints are better than nothing.
    const joints = layers.joints || (layers.skin && !skinned);
    this.bones.object.visible = joints;
    if (joints) this.bones.update(hand.joints);
    const uncertain = hand.covariance !== null && hand.covariance.length === 2 * hand.joints.length;
    this.ellipsoids.object.visible = layers.ellipsoids && uncertain;
    if (layers.ellipsoids && uncertain && hand.covariance) this.ellipsoids.update(hand.joints, hand.covariance);
  }

  dispose() {
    this.skin?.dispose();
    this.bones.dispose();
    this.ellipsoids.dispose();
  }
}
