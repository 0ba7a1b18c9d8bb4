/** The ground: a grid of ten-centimetre squares that fades with distance. */

import { BufferAttribute, BufferGeometry, LineBasicMaterial, LineSegments } from "three";

const CELL_M = 0.1;
const HALF_CELLS = 12;

export class Ground {
  constructor() {
    this.material = new LineBasicMaterial({ vertexColors: true, transparent: true, depthWrite: false });
    this.lines = new LineSegments(gridGeometry(), this.material);
    this.lines.renderOrder = -1;
  }

  /** @param {string} colour */
  setColour(colour) {
    this.material.color.set(colour);
  }

  /**
   * @param {import("three").Vector3} focus Where the hands are expected, scene coordinates.
   * @param {number} height Scene height of the ground.
   */
  place(focus, height) {
    const snap = (/** @type {number} */ value) => Math.round(value / CELL_M) * CELL_M;
    this.lines.position.set(snap(focus.x), height, snap(focus.z));
  }
}

/** Lines cut at every crossing, so that each piece can fade by itself. */
function gridGeometry() {
  /** @type {number[]} */
  const positions = [];
  /** @type {number[]} */
  const colours = [];
  const put = (/** @type {number} */ i, /** @type {number} */ j, /** @type {boolean} */ major) => {
    positions.push(i * CELL_M, 0, j * CELL_M);
    const fade = Math.max(0, 1 - Math.hypot(i, j) / HALF_CELLS) ** 1.4;
    colours.push(1, 1, 1, fade * (major ? 0.9 : 0.42));
  };
  for (let i = -HALF_CELLS; i <= HALF_CELLS; i++) {
    const major = i % 5 === 0;
    for (let j = -HALF_CELLS; j < HALF_CELLS; j++) {
      put(i, j, major);
      put(i, j + 1, major);
      put(j, i, major);
      put(j + 1, i, major);
    }
  }
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(positions), 3));
  geometry.setAttribute("color", new BufferAttribute(new Float32Array(colours), 4));
  return geometry;
}
