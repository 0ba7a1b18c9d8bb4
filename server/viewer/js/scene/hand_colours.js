/** Colours of hands and fingers: the same on the stage, in the read-outs and in the legend. */

import { Color } from "three";

/** @type {Record<string, string>} */
const FINGERS = { thumb: "#dd6b52", index: "#dfa23f", middle: "#5aa469", ring: "#4690c8", little: "#9473c4", pinky: "#9473c4" };
const PALM = "#a8adb3";

/** Skin, a little warmer for the right hand and a little cooler for the left. @type {Record<string, string>} */
const SKIN = { right: "#d5a588", left: "#b9a4b0" };

/** @param {string} jointName @returns {Color} */
export function fingerColour(jointName) {
  const name = jointName.toLowerCase();
  const finger = Object.keys(FINGERS).find((key) => name.startsWith(key));
  return new Color(finger ? FINGERS[finger] : PALM);
}

/** @param {string} side @returns {Color} */
export function skinColour(side) {
  return new Color(SKIN[side] ?? SKIN.right);
}
