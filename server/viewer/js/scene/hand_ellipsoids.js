/** One hand's uncertainty: around each joint the ellipsoid that holds it with a probability of 90 %. */

import { InstancedMesh, MeshStandardMaterial, SphereGeometry } from "three";

import { SIGMAS_90, writeEllipsoid } from "../ellipsoid.js";
import { fingerColour } from "./hand_colours.js";

/** For all hands there will be: with a hand's own its shaders would go too, and the next hand would wait for new ones. */
const MATERIAL = new MeshStandardMaterial({ transparent: true, opacity: 0.45, depthWrite: false, roughness: 0.8 });

export class HandEllipsoids {
  /** @param {string[]} jointNames */
  constructor(jointNames) {
    this.count = jointNames.length;
    this.object = new InstancedMesh(new SphereGeometry(1, 20, 14), MATERIAL, this.count);
    this.object.frustumCulled = false;
    // Before the surface, which is see-through then: it must not hide what lies inside.
    this.object.renderOrder = 1;
    jointNames.forEach((name, joint) => this.object.setColorAt(joint, fingerColour(name)));
  }

  /** @param {Float32Array} joints @param {Float32Array} covarianceMm2 xx xy xz yy yz zz a joint. */
  update(joints, covarianceMm2) {
    const matrices = /** @type {Float32Array} */ (this.object.instanceMatrix.array);
    for (let joint = 0; joint < this.count; joint++) writeEllipsoid(covarianceMm2, joints, joint, SIGMAS_90, matrices);
    this.object.instanceMatrix.needsUpdate = true;
  }

  dispose() {
    this.object.geometry.dispose();
    this.object.dispose();
  }
}
