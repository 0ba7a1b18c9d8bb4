/** Geometry of a camera rig, in plain arrays: nothing here draws or knows three.js. */

import { symmetricEigen } from "./eigen.js";

/** @typedef {[number, number, number]} Vector */
/** @typedef {import("./types.js").CameraCalibration} CameraCalibration */

/** @param {Vector} a @param {Vector} b */
export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

/** @param {Vector} a @param {Vector} b @param {number} [scale] @returns {Vector} `a + scale * b` */
export const add = (a, b, scale = 1) => [a[0] + scale * b[0], a[1] + scale * b[1], a[2] + scale * b[2]];

/** @param {Vector} a */
export const length = (a) => Math.hypot(a[0], a[1], a[2]);

/** @param {Vector} a @param {Vector} fallback @returns {Vector} */
export function normalized(a, fallback) {
  const size = length(a);
  return size > 1e-9 ? [a[0] / size, a[1] / size, a[2] / size] : fallback;
}

/**
 * Where a camera stands and how it is turned, in world coordinates.
 *
 * @param {CameraCalibration} calibration
 * @returns {{centre: Vector, right: Vector, down: Vector, forward: Vector}}
 */
export function cameraPose(calibration) {
  const T = calibration.T_camera_world;
  const row = (/** @type {number} */ i) => /** @type {Vector} */ ([T[i][0], T[i][1], T[i][2]]);
  const [right, down, forward] = [row(0), row(1), row(2)];
  let centre = /** @type {Vector} */ ([0, 0, 0]);
  [right, down, forward].forEach((axis, i) => (centre = add(centre, axis, -T[i][3])));
  return { centre, right, down, forward };
}

/**
 * The world's up, as far as the cameras tell: people put cameras upright, so it is the mean of their upward axes.
 *
 * @param {CameraCalibration[]} calibrations
 * @returns {Vector}
 */
export function inferUp(calibrations) {
  const sum = calibrations.map(cameraPose).reduce((total, pose) => add(total, pose.down, -1), /** @type {Vector} */ ([0, 0, 0]));
  return normalized(sum, [0, -1, 0]);
}

/**
 * The point that the cameras look at: nearest, in least squares, to all optical axes.
 *
 * @param {CameraCalibration[]} calibrations At least one.
 * @returns {Vector}
 */
export function lookPoint(calibrations) {
  const poses = calibrations.map(cameraPose);
  const centroid = /** @type {Vector} */ ([0, 1, 2].map((i) => poses.reduce((sum, p) => sum + p.centre[i], 0) / poses.length));
  const ahead = normalized(
    poses.reduce((sum, p) => add(sum, p.forward), /** @type {Vector} */ ([0, 0, 0])),
    poses[0].forward,
  );
  const alone = add(centroid, ahead, 0.5);
  // Sum over cameras of (I - f f^T) x = (I - f f^T) c, with a faint pull to a point ahead that settles parallel axes.
  const pull = 1e-4;
  const A = [[pull, 0, 0], [0, pull, 0], [0, 0, pull]];
  const b = alone.map((value) => pull * value);
  for (const { centre, forward } of poses) {
    for (let i = 0; i < 3; i++) {
      for (let j = 0; j < 3; j++) {
        const projector = (i === j ? 1 : 0) - forward[i] * forward[j];
        A[i][j] += projector;
        b[i] += projector * centre[j];
      }
    }
  }
  const { values, vectors } = symmetricEigen([A[0][0], A[0][1], A[0][2], A[1][1], A[1][2], A[2][2]]);
  let point = /** @type {Vector} */ ([0, 0, 0]);
  vectors.forEach((axis, i) => (point = add(point, axis, dot(axis, /** @type {Vector} */ (b)) / values[i])));
  return point;
}

/**
 * Mean distance of the cameras from a point, metres.
 *
 * @param {CameraCalibration[]} calibrations At least one. @param {Vector} pointWorld
 */
export function meanDistance(calibrations, pointWorld) {
  const distances = calibrations.map((calibration) => length(add(cameraPose(calibration).centre, pointWorld, -1)));
  return distances.reduce((sum, distance) => sum + distance, 0) / distances.length;
}
