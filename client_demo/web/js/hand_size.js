/** How large a tracked hand is beside the model that shows it. Pure. */

/** The bones that are compared: between joints that are measured, not synthesised. */
const FINGERS = ["index-finger", "middle-finger", "ring-finger", "pinky-finger"];
const BONES = FINGERS.flatMap((finger) => [
  ["wrist", `${finger}-phalanx-proximal`],
  [`${finger}-phalanx-proximal`, `${finger}-phalanx-intermediate`],
  [`${finger}-phalanx-intermediate`, `${finger}-phalanx-distal`],
]);
const LIMITS = [0.4, 2];

/**
 * @param {string[]} jointNames
 * @returns {number[]} Pairs of joints, one after the other.
 * @throws {Error} If a joint is missing.
 */
export function comparedBones(jointNames) {
  return BONES.flat().map((name) => {
    const joint = jointNames.indexOf(name);
    if (joint < 0) throw new Error(`the hand has no joint ${name}`);
    return joint;
  });
}

/** @param {ArrayLike<number>} joints 3 a joint. @param {number[]} bones Of `comparedBones`. @returns {number} Their lengths' sum. */
export function boneSum(joints, bones) {
  let sum = 0;
  for (let i = 0; i < bones.length; i += 2) {
    const [a, b] = [3 * bones[i], 3 * bones[i + 1]];
    sum += Math.hypot(joints[a] - joints[b], joints[a + 1] - joints[b + 1], joints[a + 2] - joints[b + 2]);
  }
  return sum;
}

/** @param {number} measured @param {number} rest Sums of the same bones. @returns {number} A factor; 1 where it cannot be told. */
export function sizeFactor(measured, rest) {
  if (!(measured > 0) || !(rest > 0)) return 1;
  return Math.min(LIMITS[1], Math.max(LIMITS[0], measured / rest));
}

/**
 * Where a model's joints are at rest.
 *
 * @param {Float32Array} inverseBind 16 a joint, column after column; turns and shifts only.
 * @returns {Float32Array} 3 a joint.
 */
export function restJoints(inverseBind) {
  const joints = new Float32Array((inverseBind.length / 16) * 3);
  for (let joint = 0; joint < joints.length / 3; joint++) {
    const m = inverseBind.subarray(16 * joint, 16 * joint + 16);
    // The origin of the joint's axes is what the matrix takes to zero: minus its shift, turned back.
    for (let k = 0; k < 3; k++) {
      joints[3 * joint + k] = -(m[4 * k] * m[12] + m[4 * k + 1] * m[13] + m[4 * k + 2] * m[14]);
    }
  }
  return joints;
}
