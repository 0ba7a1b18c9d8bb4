/** Uncertainty as an ellipsoid: from the covariance of a point to the matrix that makes it of a unit sphere. */

import { diagonalize } from "./eigen.js";

/** 90 % of a 3D normal distribution lies within this many standard deviations (the square root of chi-squared, 3 d.o.f.). */
export const SIGMAS_90 = Math.sqrt(6.2514);

/** A flat ellipsoid would have no inverse, and none is as thin as that. */
const LEAST_RADIUS_M = 1e-5;
const M_PER_MM = 1e-3;

const a = new Float64Array(9);
const v = new Float64Array(9);

/**
 * Write the matrix that takes the unit sphere to the ellipsoid about a point.
 *
 * @param {ArrayLike<number>} covarianceMm2 xx xy xz yy yz zz, from `6 * index` on.
 * @param {ArrayLike<number>} pointsM x y z, from `3 * index` on; the ellipsoid's centre.
 * @param {number} index
 * @param {number} sigmas How many standard deviations it reaches.
 * @param {Float32Array} out Column after column, from `16 * index` on: as WebGL takes matrices.
 */
export function writeEllipsoid(covarianceMm2, pointsM, index, sigmas, out) {
  const from = 6 * index;
  a[0] = covarianceMm2[from];
  a[1] = a[3] = covarianceMm2[from + 1];
  a[2] = a[6] = covarianceMm2[from + 2];
  a[4] = covarianceMm2[from + 3];
  a[5] = a[7] = covarianceMm2[from + 4];
  a[8] = covarianceMm2[from + 5];
  diagonalize(a, v);
  const to = 16 * index;
  for (let axis = 0; axis < 3; axis++) {
    const radius = Math.max(sigmas * Math.sqrt(Math.max(a[4 * axis], 0)) * M_PER_MM, LEAST_RADIUS_M);
    for (let k = 0; k < 3; k++) out[to + 4 * axis + k] = radius * v[3 * k + axis];
    out[to + 4 * axis + 3] = 0;
  }
  for (let k = 0; k < 3; k++) out[to + 12 + k] = pointsM[3 * index + k];
  out[to + 15] = 1;
}
