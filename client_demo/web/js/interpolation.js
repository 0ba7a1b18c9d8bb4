/** Hands between two messages: positions on the straight line, rotations on the shortest arc, nothing extrapolated. Pure. */

/** @typedef {import("viewer/types.js").Hand} Hand */

const NEARLY_EQUAL = 1 - 1e-9;

/**
 * @param {Hand} from @param {Hand} to The same hand later.
 * @param {number} share 0 gives the first, 1 the second.
 * @returns {Hand | null} Null where the two do not have the same parts.
 */
export function between(from, to, share) {
  if (from.joints.length !== to.joints.length) return null;
  return {
    ...from,
    joints: mixed(from.joints, to.joints, share) ?? from.joints,
    covariance: mixed(from.covariance, to.covariance, share),
    orientations: turned(from.orientations, to.orientations, share),
  };
}

/** @param {Float32Array | null} from @param {Float32Array | null} to @param {number} share */
function mixed(from, to, share) {
  if (from === null || to === null || from.length !== to.length) return null;
  return from.map((value, i) => value + share * (to[i] - value));
}

/** @param {Float32Array | null} from Unit quaternions. @param {Float32Array | null} to @param {number} share */
function turned(from, to, share) {
  if (from === null || to === null || from.length !== to.length) return null;
  const result = new Float32Array(from.length);
  for (let at = 0; at + 3 < from.length; at += 4) {
    let dot = 0;
    for (let k = at; k < at + 4; k++) dot += from[k] * to[k];
    // A quaternion and its negative are the same rotation: the nearer one is meant.
    const sign = dot < 0 ? -1 : 1;
    dot = Math.min(1, Math.abs(dot));
    let [ofFrom, ofTo] = [1 - share, share];
    if (dot < NEARLY_EQUAL) {
      const angle = Math.acos(dot);
      ofFrom = Math.sin((1 - share) * angle) / Math.sin(angle);
      ofTo = Math.sin(share * angle) / Math.sin(angle);
    }
    let square = 0;
    for (let k = at; k < at + 4; k++) {
      result[k] = ofFrom * from[k] + sign * ofTo * to[k];
      square += result[k] * result[k];
    }
    const length = Math.sqrt(square) || 1;
    for (let k = at; k < at + 4; k++) result[k] /= length;
  }
  return result;
}
