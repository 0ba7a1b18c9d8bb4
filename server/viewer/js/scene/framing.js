/** The first view: near enough that a hand fills a good part, from the side that shows most cameras and no hand behind another. */

import { Vector3 } from "three";

const HAND_SPAN_M = 0.2;
/** From most liked to least. */
const ELEVATIONS_RAD = [0.42, 0.3, 0.55, 0.2];
const ELEVATION_COST = 0.15;
const DIRECTIONS = 24;
/** A camera nearer to the eye than this share of the viewing distance stands in the way. */
const IN_THE_WAY = 0.45;
/** What a view straight along the line from hand to hand loses, in cameras. */
const HIDDEN_HAND_COST = 2.5;
/** Above this share of the half height, buttons lie over the picture. */
const UNDER_BUTTONS = 0.82;
const UP = new Vector3(0, 1, 0);

/**
 * @param {Vector3} focus What to look at, scene coordinates.
 * @param {Vector3[]} cameraCentres Scene coordinates.
 * @param {number} fovDeg Vertical.
 * @param {number} aspect Width over height.
 * @param {Vector3 | null} apart Direction from one hand to another, of length 1; null where there are no two.
 * @returns {Vector3} Where to look from.
 */
export function framingPosition(focus, cameraCentres, fovDeg, aspect, apart) {
  const vertical = Math.tan((fovDeg * Math.PI) / 360);
  const tangents = { vertical, horizontal: vertical * aspect };
  const narrow = Math.min(tangents.vertical, tangents.horizontal);
  // At the nearest comfortable distance a hand takes over half of the view's narrower side, at the farthest nearly a quarter.
  const near = HAND_SPAN_M / 0.6 / (2 * narrow);
  const far = HAND_SPAN_M / 0.23 / (2 * narrow);
  const reach = cameraCentres.reduce((most, centre) => Math.max(most, centre.distanceTo(focus)), 0);
  const distance = Math.min(far, Math.max(near, (0.9 * reach) / narrow));
  let best = { score: -Infinity, position: new Vector3() };
  ELEVATIONS_RAD.forEach((elevation, rank) => {
    for (let i = 0; i < DIRECTIONS; i++) {
      const position = around(focus, distance, (2 * Math.PI * i) / DIRECTIONS, elevation);
      const shown = cameraCentres.reduce((sum, centre) => sum + visibility(centre, position, focus, tangents), 0);
      const hidden = apart ? Math.abs(position.clone().sub(focus).normalize().dot(apart)) : 0;
      const score = shown - ELEVATION_COST * rank - HIDDEN_HAND_COST * hidden ** 2;
      if (score > best.score + 1e-6) best = { score, position };
    }
  });
  return best.position;
}

/** @param {Vector3} focus @param {number} distance @param {number} azimuth @param {number} elevation */
function around(focus, distance, azimuth, elevation) {
  const level = Math.cos(elevation) * distance;
  const height = Math.sin(elevation) * distance;
  return new Vector3(Math.sin(azimuth) * level, height, Math.cos(azimuth) * level).add(focus);
}

/**
 * @param {Vector3} centre Of a camera. @param {Vector3} eye @param {Vector3} focus
 * @param {{vertical: number, horizontal: number}} tangents
 * @returns {number} 1 in the picture and clear of its middle, down to 0 out of it; negative in the way.
 */
function visibility(centre, eye, focus, tangents) {
  const forward = focus.clone().sub(eye);
  const distance = forward.length();
  forward.divideScalar(distance);
  const right = forward.clone().cross(UP).normalize();
  const offset = centre.clone().sub(eye);
  if (offset.length() < IN_THE_WAY * distance) return -1;
  const depth = offset.dot(forward);
  if (depth <= 0) return 0;
  const x = Math.abs(offset.dot(right)) / (depth * tangents.horizontal);
  const y = offset.dot(right.clone().cross(forward)) / (depth * tangents.vertical);
  const edge = Math.max(x, y > 0 ? y / UNDER_BUTTONS : -y);
  if (edge > 0.95) return 0;
  if (edge < 0.3) return depth < distance ? -1.5 : 0.5;
  return edge > 0.85 ? 0.4 : 1;
}
