/** Single keys and what they do: one table for the page and for its help. Pure. */

/** @typedef {{action: string, argument: string}} Wish */

/** `action:argument` of each key, and the words for the help. @type {{keys: string[], shown: string, does: string, words: string}[]} */
export const SHORTCUTS = [
  { keys: ["m"], shown: "M", does: "layer:mesh", words: "mesh" },
  { keys: ["s"], shown: "S", does: "layer:skeleton", words: "skeleton" },
  { keys: ["u"], shown: "U", does: "layer:ellipsoids", words: "uncertainty" },
  { keys: ["t"], shown: "T", does: "layer:trails", words: "trails" },
  { keys: ["c"], shown: "C", does: "layer:cameras", words: "cameras in 3D" },
  { keys: ["v"], shown: "V", does: "layer:coverage", words: "coverage of the pictures" },
  { keys: ["e"], shown: "E", does: "layer:residuals", words: "residuals in the pictures" },
  { keys: ["g"], shown: "G", does: "layer:ground", words: "ground" },
  { keys: ["1", "2", "3", "4", "5", "6", "7", "8", "9"], shown: "1 \u2013 9", does: "camera:", words: "see from that camera" },
  { keys: ["0", "r"], shown: "0 or R", does: "reset:", words: "reset the view" },
  { keys: ["p"], shown: "P", does: "panel:cameras", words: "pictures of the cameras" },
  { keys: ["l"], shown: "L", does: "panel:timeline", words: "timeline" },
  { keys: ["k"], shown: "K", does: "panel:calibration", words: "calibration" },
  { keys: ["o"], shown: "O", does: "overlay:", words: "hands drawn on the pictures" },
  { keys: ["d"], shown: "D", does: "theme:", words: "dark or light" },
  { keys: ["?"], shown: "?", does: "help:", words: "this help" },
];

/**
 * What a key press asks for.
 *
 * @param {{key: string, ctrlKey?: boolean, metaKey?: boolean, altKey?: boolean, repeat?: boolean}} press
 * @param {{tagName?: string, isContentEditable?: boolean} | null} target What has the focus.
 * @returns {Wish | null} Null also while somebody types.
 */
export function wishOf(press, target) {
  if (press.ctrlKey || press.metaKey || press.altKey || press.repeat) return null;
  if (target?.isContentEditable || ["INPUT", "SELECT", "TEXTAREA"].includes(target?.tagName ?? "")) return null;
  const key = press.key.toLowerCase();
  const found = SHORTCUTS.find(({ keys }) => keys.includes(key));
  if (!found) return null;
  const [action, argument] = found.does.split(":");
  return { action, argument: argument || key };
}
