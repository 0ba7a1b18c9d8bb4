/** Eigenvalues and eigenvectors of a symmetric 3x3 matrix, by Jacobi's rotations. */

const MOST_SWEEPS = 12;
const SMALL = 1e-14;
const PLANES = [0, 1, 0, 2, 1, 2];

/**
 * Work out eigenvalues and unit eigenvectors without making anything: for calls in their hundreds a second.
 *
 * @param {Float64Array} a The nine numbers of the matrix; afterwards its diagonal holds the eigenvalues.
 * @param {Float64Array} v Nine numbers; afterwards its columns are the eigenvectors, right-handed.
 */
export function diagonalize(a, v) {
  v.fill(0);
  v[0] = v[4] = v[8] = 1;
  for (let sweep = 0; sweep < MOST_SWEEPS; sweep++) {
    const scale = Math.abs(a[0]) + Math.abs(a[4]) + Math.abs(a[8]);
    if (Math.abs(a[1]) + Math.abs(a[2]) + Math.abs(a[5]) <= SMALL * scale) break;
    for (let plane = 0; plane < 6; plane += 2) rotate(a, v, PLANES[plane], PLANES[plane + 1]);
  }
}

/** @param {Float64Array} a @param {Float64Array} v @param {number} p @param {number} q */
function rotate(a, v, p, q) {
  const off = a[3 * p + q];
  if (off === 0) return;
  const theta = (a[3 * q + q] - a[3 * p + p]) / (2 * off);
  const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
  const c = 1 / Math.hypot(t, 1);
  const s = t * c;
  for (let k = 0; k < 9; k += 3) {
    const x = a[k + p];
    const y = a[k + q];
    a[k + p] = c * x - s * y;
    a[k + q] = s * x + c * y;
  }
  for (let k = 0; k < 3; k++) {
    const x = a[3 * p + k];
    const y = a[3 * q + k];
    a[3 * p + k] = c * x - s * y;
    a[3 * q + k] = s * x + c * y;
  }
  // A product of rotations: the columns of v are right-handed by construction.
  for (let k = 0; k < 9; k += 3) {
    const x = v[k + p];
    const y = v[k + q];
    v[k + p] = c * x - s * y;
    v[k + q] = s * x + c * y;
  }
}

/**
 * The same for a caller in no hurry.
 *
 * @param {ArrayLike<number>} upper xx xy xz yy yz zz.
 * @returns {{values: number[], vectors: [number, number, number][]}}
 */
export function symmetricEigen(upper) {
  const [xx, xy, xz, yy, yz, zz] = Array.from(upper);
  const a = Float64Array.of(xx, xy, xz, xy, yy, yz, xz, yz, zz);
  const v = new Float64Array(9);
  diagonalize(a, v);
  const column = (/** @type {number} */ i) => /** @type {[number, number, number]} */ ([v[i], v[3 + i], v[6 + i]]);
  return { values: [a[0], a[4], a[8]], vectors: [column(0), column(1), column(2)] };
}
