/** One hand's surface. */

import { BufferAttribute, BufferGeometry, DoubleSide, DynamicDrawUsage, Mesh, MeshStandardMaterial } from "three";

import { skinColour } from "./hand_colours.js";

/** See-through enough that the joints inside can be told apart. */
const OPACITY_OVER_SKELETON = 0.62;

/** For all hands there will be: with a hand's own its shaders would go too, and the next hand would wait for new ones. */
const MATERIALS = { left: skinOf("left"), right: skinOf("right") };

export class HandMesh {
  /** @param {string} side @param {number[][]} faces @param {number} vertexCount */
  constructor(side, faces, vertexCount) {
    this.vertexCount = vertexCount;
    this.positions = new BufferAttribute(new Float32Array(3 * vertexCount), 3);
    this.positions.setUsage(DynamicDrawUsage);
    const geometry = new BufferGeometry();
    geometry.setAttribute("position", this.positions);
    geometry.setIndex(faces.flat());
    this.material = side === "left" ? MATERIALS.left : MATERIALS.right;
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
  }
}

/** @param {string} side */
function skinOf(side) {
  // Both sides: the surface is open at the wrist, and one can look into it there.
  return new MeshStandardMaterial({ color: skinColour(side), roughness: 0.6, side: DoubleSide });
}
