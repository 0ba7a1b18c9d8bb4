/** Which panels are open. Pure: the page shows what this says. */

/** @typedef {"cameras" | "timeline" | "calibration"} Panel */
/**
 * @typedef {object} Panels
 * @property {"cameras" | "calibration" | ""} dock Beside the stage, where there is room beside it.
 * @property {boolean} timeline Below the stage, where there is room for both.
 * @property {Panel | ""} sheet The one that a narrow page has room for.
 */

/** @type {Panels} */
export const FIRST_PANELS = { dock: "cameras", timeline: true, sheet: "cameras" };

/** @param {Panels} panels @param {boolean} narrow @returns {Set<Panel>} */
export function openPanels(panels, narrow) {
  /** @type {Set<Panel>} */
  const open = new Set();
  if (narrow) {
    if (panels.sheet) open.add(panels.sheet);
    return open;
  }
  if (panels.dock) open.add(panels.dock);
  if (panels.timeline) open.add("timeline");
  return open;
}

/** @param {Panels} panels @param {Panel} panel @param {boolean} narrow @returns {Panels} After its button was pressed. */
export function withToggled(panels, panel, narrow) {
  if (narrow) return { ...panels, sheet: panels.sheet === panel ? "" : panel };
  if (panel === "timeline") return { ...panels, timeline: !panels.timeline };
  return { ...panels, dock: panels.dock === panel ? "" : panel };
}

/** @param {any} kept From an earlier visit; anything may have become of it. @returns {Panels} */
export function readPanels(kept) {
  const oneOf = (/** @type {any} */ value, /** @type {any[]} */ allowed, /** @type {any} */ fallback) =>
    allowed.includes(value) ? value : fallback;
  return {
    dock: oneOf(kept?.dock, ["cameras", "calibration", ""], FIRST_PANELS.dock),
    timeline: oneOf(kept?.timeline, [true, false], FIRST_PANELS.timeline),
    sheet: oneOf(kept?.sheet, ["cameras", "timeline", "calibration", ""], FIRST_PANELS.sheet),
  };
}
