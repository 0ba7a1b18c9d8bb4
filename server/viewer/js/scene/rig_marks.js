/** Coverage and residual arrows on the pictures' planes of the cameras on the stage. */

import { BufferAttribute, BufferGeometry, DoubleSide, Group, LineBasicMaterial, LineSegments, Mesh, MeshBasicMaterial } from "three";

import { planeOf } from "./picture_plane.js";

/** @typedef {import("../types.js").CameraInfo} CameraInfo */
/** @typedef {import("../calibration/marks.js").Marks} Marks */

/** A pixel is too small to be seen: arrows are so many times as long. */
export const ARROW_GAIN = 20;
/** A residual beyond this is drawn in the colour of what is wrong. */
const LARGE_PX = 5;
const HEAD = 0.3;

export class RigMarks {
  /** @param {import("./stage.js").Stage} stage */
  constructor(stage) {
    this.stage = stage;
    this.object = new Group();
    this.coverage = new Group();
    this.arrows = new Group();
    this.object.add(this.coverage, this.arrows);
    this.cells = new MeshBasicMaterial({ transparent: true, opacity: 0.32, side: DoubleSide, depthWrite: false });
    this.small = new LineBasicMaterial();
    this.large = new LineBasicMaterial();
    /** @type {CameraInfo[]} */
    this.cameras = [];
    this.depthM = 0.1;
    /** @type {Record<string, Marks>} */
    this.marks = {};
  }

  /** @param {CameraInfo[]} cameras Calibrated ones. @param {number} depthM As far as the frusta reach. */
  setCameras(cameras, depthM) {
    this.cameras = cameras;
    this.depthM = depthM;
    this.show(this.marks);
  }

  /** @param {{covered: string, small: string, large: string}} colours */
  setColours({ covered, small, large }) {
    this.cells.color.set(covered);
    this.small.color.set(small);
    this.large.color.set(large);
  }

  /** @param {"coverage" | "residuals"} layer @param {boolean} visible */
  setLayer(layer, visible) {
    (layer === "coverage" ? this.coverage : this.arrows).visible = visible;
    this.stage.requestRender();
  }

  /** @param {Record<string, Marks>} marks By camera id. */
  show(marks) {
    this.marks = marks;
    empty(this.coverage);
    empty(this.arrows);
    for (const camera of this.cameras) {
      const mark = marks[camera.id];
      if (!mark) continue;
      const at = planeOf(camera, this.depthM);
      const cells = cellTriangles(camera, mark.coverage ?? [], at);
      if (cells.length) this.coverage.add(new Mesh(geometryOf(cells), this.cells));
      const far = (/** @type {number[]} */ row) => Math.hypot(row[2], row[3]) > LARGE_PX;
      const rows = mark.residuals_px ?? [];
      this.#addArrows(rows.filter((row) => !far(row)), at, this.small);
      this.#addArrows(rows.filter(far), at, this.large);
    }
    this.stage.requestRender();
  }

  /** @param {number[][]} rows @param {(u: number, v: number) => number[]} at @param {LineBasicMaterial} material */
  #addArrows(rows, at, material) {
    if (rows.length) this.arrows.add(new LineSegments(geometryOf(rows.flatMap((row) => arrow(row, at))), material));
  }
}

/**
 * A shaft and two strokes for its head, as ends of segments.
 *
 * @param {number[]} row x, y, dx, dy in pixels. @param {(u: number, v: number) => number[]} at
 */
function arrow([x, y, dx, dy], at) {
  const [px, py] = [ARROW_GAIN * dx, ARROW_GAIN * dy];
  const tip = at(x + px, y + py);
  const stroke = (/** @type {number} */ side) => at(x + px - HEAD * (px - side * py), y + py - HEAD * (py + side * px));
  return [at(x, y), tip, tip, stroke(1), tip, stroke(-1)];
}

/** @param {CameraInfo} camera @param {number[][]} coverage @param {(u: number, v: number) => number[]} at */
function cellTriangles(camera, coverage, at) {
  return coverage.flatMap((row, i) =>
    row.flatMap((count, j) => {
      if (count === 0) return [];
      const [left, right] = [j, j + 1].map((each) => (each * camera.width) / row.length - 0.5);
      const [top, bottom] = [i, i + 1].map((each) => (each * camera.height) / coverage.length - 0.5);
      const [a, b, c, d] = [at(left, top), at(right, top), at(right, bottom), at(left, bottom)];
      return [a, b, c, a, c, d];
    }),
  );
}

/** @param {Group} group */
function empty(group) {
  for (const child of /** @type {any[]} */ ([...group.children])) {
    child.geometry.dispose();
    group.remove(child);
  }
}

/** @param {number[][]} points */
function geometryOf(points) {
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(points.flat()), 3));
  return geometry;
}
