/** Where the hands' world is put in the viewer's space. Pure. */

/** @typedef {[number, number, number]} Vector */
/** @typedef {{position: Vector, yaw: number}} Placement First turned about +Y by `yaw`, then moved by `position`. */

const AHEAD_M = 0.5;
const BELOW_EYES_M = 0.15;

/** @type {Placement} */
export const UNMOVED = { position: [0, 0, 0], yaw: 0 };

/**
 * Put the hands before a viewer, seen from the side that they were seen from until now.
 *
 * @param {Vector} eye Where the viewer is, metres, +Y up.
 * @param {Vector} gaze Where the viewer looks; only its level part counts.
 * @param {Vector} centre Of the hands, in their own world.
 * @param {Vector} seenFrom Where the hands were seen from, in their own world.
 * @returns {Placement}
 */
export function placedBefore(eye, gaze, centre, seenFrom) {
  const ahead = level(gaze, [0, 0, -1]);
  const target = /** @type {Vector} */ ([
    eye[0] + AHEAD_M * ahead[0],
    eye[1] - BELOW_EYES_M,
    eye[2] + AHEAD_M * ahead[2],
  ]);
  // The level direction from the hands to where they were seen from shall point back at the viewer.
  const from = level([seenFrom[0] - centre[0], 0, seenFrom[2] - centre[2]], [0, 0, 1]);
  return turnedAbout(centre, angle([-ahead[0], 0, -ahead[2]]) - angle(from), target);
}

/**
 * The same hands, turned further where they are.
 *
 * @param {Placement} placement @param {Vector} centre Of the hands, in their own world. @param {number} more Radians.
 * @returns {Placement}
 */
export function turnedFurther(placement, centre, more) {
  return turnedAbout(centre, placement.yaw + more, placed(placement, centre));
}

/** @param {Placement} placement @param {Vector} point In the hands' world. @returns {Vector} In the viewer's space. */
export function placed({ position, yaw }, point) {
  const turned = turn(point, yaw);
  return [turned[0] + position[0], turned[1] + position[1], turned[2] + position[2]];
}

/** @param {Vector} centre @param {number} yaw @param {Vector} target Where the centre goes. @returns {Placement} */
function turnedAbout(centre, yaw, target) {
  const turned = turn(centre, yaw);
  return { yaw, position: [target[0] - turned[0], target[1] - turned[1], target[2] - turned[2]] };
}

/** @param {Vector} point @param {number} yaw @returns {Vector} */
function turn([x, y, z], yaw) {
  const [c, s] = [Math.cos(yaw), Math.sin(yaw)];
  return [c * x + s * z, y, c * z - s * x];
}

/** The angle about +Y of a level direction, from +Z. @param {Vector} direction */
function angle([x, , z]) {
  return Math.atan2(x, z);
}

/** @param {Vector} direction @param {Vector} fallback For one that points straight up or down. @returns {Vector} Of length 1. */
function level([x, , z], fallback) {
  const size = Math.hypot(x, z);
  return size > 1e-6 ? [x / size, 0, z / size] : fallback;
}
