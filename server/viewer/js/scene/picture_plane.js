/** Where pixels of a camera's picture lie in the world, on a plane before the camera. Pure. */

import { add, cameraPose } from "../geometry.js";

/**
 * @param {import("../types.js").CameraInfo} camera With its calibration.
 * @param {number} depthM How far before the camera the plane is.
 * @returns {(u: number, v: number) => [number, number, number]} From a pixel, as if the lens had no distortion.
 */
export function planeOf(camera, depthM) {
  const calibration = /** @type {import("../types.js").CameraCalibration} */ (camera.calibration);
  const { centre, right, down, forward } = cameraPose(calibration);
  const [[fx, , cx], [, fy, cy]] = calibration.K;
  return (u, v) =>
    add(add(add(centre, forward, depthM), right, (depthM * (u - cx)) / fx), down, (depthM * (v - cy)) / fy);
}
