/** A tracked hand with skin: a model's mesh whose joints are put where the stream says. */

import {
  Bone,
  BufferAttribute,
  BufferGeometry,
  Matrix4,
  MeshStandardMaterial,
  Quaternion,
  Skeleton,
  SkinnedMesh,
  Vector3,
} from "three";

import { skinColour } from "viewer/scene/hand_colours.js";

import { boneSum, comparedBones, restJoints, sizeFactor } from "../hand_size.js";

/** @typedef {import("../glb.js").SkinnedModel} SkinnedModel */

/** The size is that of a hand, not of a moment: each picture moves it by this share. */
const SIZE_GAIN = 0.08;
const OPACITY_OVER_JOINTS = 0.55;

const position = new Vector3();
const turn = new Quaternion();
const scale = new Vector3();

/** What all hands of one side share. */
export class SkinnedHandParts {
  /** @param {string} side @param {SkinnedModel} model @param {string[]} streamNames The stream's joints in their order. */
  constructor(side, model, streamNames) {
    /** Theirs: with a hand's own its shaders would go too, and the next hand would wait for new ones. */
    this.material = new MeshStandardMaterial({ color: skinColour(side), roughness: 0.62 });
    this.geometry = new BufferGeometry();
    this.geometry.setAttribute("position", new BufferAttribute(model.positions, 3));
    this.geometry.setAttribute("normal", new BufferAttribute(model.normals, 3));
    this.geometry.setAttribute("skinIndex", new BufferAttribute(model.joints, 4));
    this.geometry.setAttribute("skinWeight", new BufferAttribute(model.weights, 4));
    this.geometry.setIndex(new BufferAttribute(model.index, 1));
    const joints = model.jointNames.length;
    this.inverses = Array.from({ length: joints }, (_, joint) => new Matrix4().fromArray(model.inverseBind, 16 * joint));
    /** Which of the stream's joints each of the model's is. */
    this.sources = model.jointNames.map((name) => {
      const source = streamNames.indexOf(name);
      if (source < 0) throw new Error(`the stream has no joint ${name}, which the hand model needs`);
      return source;
    });
    this.bones = comparedBones(streamNames);
    this.restSum = boneSum(restJoints(model.inverseBind), comparedBones(model.jointNames));
  }

  dispose() {
    this.geometry.dispose();
    this.material.dispose();
  }
}

export class SkinnedHand {
  /** @param {SkinnedHandParts} parts */
  constructor(parts) {
    this.parts = parts;
    this.size = 0;
    this.material = parts.material;
    this.joints = parts.sources.map(() => new Bone());
    this.object = new SkinnedMesh(parts.geometry, this.material);
    this.object.frustumCulled = false;
    this.object.renderOrder = 2;
    for (const joint of this.joints) {
      joint.matrixAutoUpdate = false;
      this.object.add(joint);
    }
    this.object.bind(new Skeleton(this.joints, parts.inverses), new Matrix4());
  }

  /** @param {Float32Array} joints 3 a joint of the stream. @param {Float32Array} orientations 4 a joint, x y z w. */
  update(joints, orientations) {
    const measured = sizeFactor(boneSum(joints, this.parts.bones), this.parts.restSum);
    this.size = this.size === 0 ? measured : this.size + SIZE_GAIN * (measured - this.size);
    scale.setScalar(this.size);
    for (let i = 0; i < this.joints.length; i++) {
      const source = this.parts.sources[i];
      position.fromArray(joints, 3 * source);
      turn.fromArray(orientations, 4 * source);
      this.joints[i].matrix.compose(position, turn, scale);
      this.joints[i].matrixWorldNeedsUpdate = true;
    }
  }

  /** @param {boolean} seeThrough */
  setSeeThrough(seeThrough) {
    if (this.material.transparent === seeThrough) return;
    this.material.transparent = seeThrough;
    this.material.opacity = seeThrough ? OPACITY_OVER_JOINTS : 1;
    this.material.needsUpdate = true;
  }

  dispose() {
    this.object.skeleton.dispose();
  }
}
