/** One hand's uncertainty: around each joint the ellipsoid that holds it with a probability of 90 %. */

import { InstancedMesh, Matrix4, MeshStandardMaterial, SphereGeometry, Vector3 } from "three";

import { SIGMAS_90, symmetricEigen } from "../geometry.js";
import { fingerColour } from "./hand_colours.js";

const M_PER_MM = 1e-3;
const matrix = new Matrix4();
const axes = [new Vector3(), new Vector3(), new Vector3()];

export class HandEllipsoids {
  /** @param {string[]} jointNames */
  constructor(jointNames) {
    this.count = jointNames.length;
    this.material = new MeshStandardMaterial({ transparent: true, opacity: 0.45, depthWrite: false, roughness: 0.8 });
    this.object = new InstancedMesh(new SphereGeometry(1, 24, 16), this.material, this.count);
    this.object.frustumCulled = false;
    // Before the surface, which is see-through then: it must not hide what lies inside.
    this.object.renderOrder = 1;
    jointNames.forEach((name, joint) => this.object.setColorAt(joint, fingerColour(name)));
  }

  /** @param {Float32Array} joints @param {Float32Array} covarianceMm2 xx xy xz yy yz zz a joint. */
  update(joints, covarianceMm2) {
    for (let joint = 0; joint < this.count; joint++) {
      const { values, vectors } = symmetricEigen(covarianceMm2.subarray(6 * joint, 6 * joint + 6));
      vectors.forEach((vector, i) => {
        const radius = Math.max(SIGMAS_90 * Math.sqrt(Math.max(values[i], 0)) * M_PER_MM, 1e-5);
        axes[i].fromArray(vector).multiplyScalar(radius);
      });
      matrix.makeBasis(axes[0], axes[1], axes[2]);
      matrix.setPosition(joints[3 * joint], joints[3 * joint + 1], joints[3 * joint + 2]);
      this.object.setMatrixAt(joint, matrix);
    }
    this.object.instanceMatrix.needsUpdate = true;
  }

  dispose() {
    this.object.geometry.dispose();
    this.object.dispose();
    this.material.dispose();
  }
}
