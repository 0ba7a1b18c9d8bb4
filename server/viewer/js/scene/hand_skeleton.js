/** One hand's joints as spheres and its bones as cylinders, coloured by finger. */

import {
  CylinderGeometry,
  Group,
  InstancedMesh,
  Matrix4,
  MeshStandardMaterial,
  Quaternion,
  SphereGeometry,
  Vector3,
} from "three";

import { fingerColour } from "./hand_colours.js";

const JOINT_RADIUS_M = 0.0042;
const WRIST_RADIUS_M = 0.006;
const BONE_RADIUS_M = 0.0021;

/** For all hands there will be: with a hand's own its shaders would go too, and the next hand would wait for new ones. */
const MATERIAL = new MeshStandardMaterial({ roughness: 0.5 });

const UP = new Vector3(0, 1, 0);
const start = new Vector3();
const end = new Vector3();
const direction = new Vector3();
const scale = new Vector3();
const turn = new Quaternion();
const matrix = new Matrix4();

export class HandSkeleton {
  /** @param {string[]} jointNames @param {number[]} parents */
  constructor(jointNames, parents) {
    this.parents = parents;
    this.bones = parents.flatMap((parent, joint) => (parent >= 0 ? [joint] : []));
    this.spheres = new InstancedMesh(new SphereGeometry(1, 20, 14), MATERIAL, parents.length);
    this.cylinders = new InstancedMesh(new CylinderGeometry(1, 1, 1, 12, 1, true), MATERIAL, this.bones.length);
    parents.forEach((_, joint) => this.spheres.setColorAt(joint, fingerColour(jointNames[joint] ?? "")));
    this.bones.forEach((joint, i) => this.cylinders.setColorAt(i, fingerColour(jointNames[joint] ?? "")));
    this.object = new Group();
    for (const mesh of [this.spheres, this.cylinders]) {
      mesh.frustumCulled = false;
      this.object.add(mesh);
    }
  }

  /** @param {Float32Array} joints */
  update(joints) {
    this.parents.forEach((parent, joint) => {
      start.fromArray(joints, 3 * joint);
      const radius = parent < 0 ? WRIST_RADIUS_M : JOINT_RADIUS_M;
      this.spheres.setMatrixAt(joint, matrix.makeScale(radius, radius, radius).setPosition(start));
    });
    this.bones.forEach((joint, i) => {
      start.fromArray(joints, 3 * this.parents[joint]);
      end.fromArray(joints, 3 * joint);
      direction.subVectors(end, start);
      const span = direction.length();
      turn.setFromUnitVectors(UP, span > 0 ? direction.divideScalar(span) : UP);
      scale.set(BONE_RADIUS_M, span, BONE_RADIUS_M);
      this.cylinders.setMatrixAt(i, matrix.compose(start.add(end).multiplyScalar(0.5), turn, scale));
    });
    this.spheres.instanceMatrix.needsUpdate = true;
    this.cylinders.instanceMatrix.needsUpdate = true;
  }

  dispose() {
    for (const mesh of [this.spheres, this.cylinders]) {
      mesh.geometry.dispose();
      mesh.dispose();
    }
  }
}
