/** One hand's surface. */

import { BufferAttribute, BufferGeometry, DoubleSide, DynamicDrawUsage, Mesh, MeshStandardMaterial } from "three";

import { skinColour } from "./hand_colours.js";

/** See-through enough that the joints inside can be told apart. */
const OPACITY_OVER_SKELETON = 0.62;

export class HandMesh {
  /** @param {string} side @param {number[][]} faces @param {number} vertexCount */
  constructor(side, faces, vertexCount) {
    this.vertexCount = vertexCount;
    this.positions = new BufferAttribute(new Float32Array(3 * vertexCount), 3);
    this.positions.setUsage(DynamicDrawUsage);
    const geometry = new BufferGeometry();
    geometry.setAttribute("position", this.positions);
    geometry.setIndex(faces.flat());
    // Both sides: the surface is open at the wrist, and one can look into it there.
    this.material = new MeshStandardMaterial({ color: skinColour(side), roughness: 0.6, side: DoubleSide });
    this.object = new Mesh(geometry, this.material);
    this.object.frustumCulled = false;
    this.object.renderOrder = 2;
  }

  /** @param {Float32Array} vertices */
  update(vertices) {
    /** @type {Float32Array} */ (this.positions.array).set(vertices);
    this.positions.needsUpdate = true;
    this.object.geometry.computeVertexNormals();
  }

  /** @param {boolean} seeThrough */
  setSeeThrough(seeThrough) {
    if (this.material.transparent === seeThrough) return;
    this.material.transparent = seeThrough;
    this.material.opacity = seeThrough ? OPACITY_OVER_SKELETON : 1;
    this.material.needsUpdate = true;
  }

  dispose() {
    this.object.geometry.dispose();
    this.material.dispose();
  }
}
