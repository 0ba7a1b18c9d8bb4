/** The buttons that open and close panels, on a page that has room for several or for one. */

import { openPanels, readPanels, withToggled } from "./panels.js";
import { remember, remembered } from "./settings.js";

/** @typedef {import("./panels.js").Panel} Panel */

const KEY = "panels";
/** As in viewer.css. */
const NARROW = "(max-width: 820px), (max-height: 480px)";

export class PanelSwitch {
  /**
   * @param {HTMLElement} buttons Holds a button with `data-panel` for each panel.
   * @param {HTMLElement} page Is told which are open by `data-open`.
   * @param {Record<Panel, HTMLElement>} panels
   * @param {(open: Set<Panel>) => void} onChange
   */
  constructor(buttons, page, panels, onChange) {
    this.page = page;
    this.panels = panels;
    this.onChange = onChange;
    this.chosen = readPanels(remembered(KEY, {}));
    this.narrow = window.matchMedia(NARROW);
    this.buttons = /** @type {HTMLElement[]} */ ([...buttons.querySelectorAll("[data-panel]")]);
    for (const button of this.buttons) {
      button.addEventListener("click", () => this.toggle(/** @type {Panel} */ (button.dataset.panel)));
    }
    this.narrow.addEventListener("change", () => this.show());
  }

  /** @param {Panel} panel */
  toggle(panel) {
    this.chosen = withToggled(this.chosen, panel, this.narrow.matches);
    remember(KEY, this.chosen);
    this.show();
  }

  show() {
    const open = openPanels(this.chosen, this.narrow.matches);
    for (const button of this.buttons) {
      button.setAttribute("aria-expanded", String(open.has(/** @type {Panel} */ (button.dataset.panel))));
    }
    for (const [name, element] of Object.entries(this.panels)) element.hidden = !open.has(/** @type {Panel} */ (name));
    this.page.dataset.open = [...open].join(" ");
    this.onChange(open);
  }
}
