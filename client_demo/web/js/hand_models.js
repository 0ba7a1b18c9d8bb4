/** The two hand models beside this page, loaded once. */

import { readSkinnedModel } from "./glb.js";

/** @typedef {import("./glb.js").SkinnedModel} SkinnedModel */

/**
 * @returns {Promise<{left: SkinnedModel, right: SkinnedModel}>}
 * @throws {Error} If one of them cannot be had.
 */
export async function loadHandModels() {
  const [left, right] = await Promise.all(["left", "right"].map(load));
  return { left, right };
}

/** @param {string} side @returns {Promise<SkinnedModel>} */
async function load(side) {
  const response = await fetch(new URL(`../hands/${side}.glb`, import.meta.url));
  if (!response.ok) throw new Error(`hands/${side}.glb cannot be loaded (error ${response.status})`);
  return readSkinnedModel(await response.arrayBuffer());
}
