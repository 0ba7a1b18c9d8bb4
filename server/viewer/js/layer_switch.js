/** The buttons that show and hide layers of the 3D view. */

import { remember, remembered } from "./settings.js";

const KEY = "layers";

export class LayerSwitch {
  /** @param {HTMLElement} toolbar Holds a button with `data-layer` for each. @param {(layer: string, on: boolean) => void} onChange */
  constructor(toolbar, onChange) {
    this.onChange = onChange;
    const buttons = /** @type {HTMLElement[]} */ ([...toolbar.querySelectorAll("[data-layer]")]);
    this.buttons = new Map(buttons.map((button) => [button.dataset.layer ?? "", button]));
    const kept = /** @type {Record<string, unknown>} */ (remembered(KEY, {}));
    for (const [layer, button] of this.buttons) {
      if (typeof kept[layer] === "boolean") button.setAttribute("aria-pressed", String(kept[layer]));
      button.addEventListener("click", () => this.toggle(layer));
    }
  }

  /** @param {string} layer */
  toggle(layer) {
    const button = this.buttons.get(layer);
    if (!button) return;
    button.setAttribute("aria-pressed", String(!this.#isOn(button)));
    remember(KEY, Object.fromEntries([...this.buttons].map(([name, each]) => [name, this.#isOn(each)])));
    this.onChange(layer, this.#isOn(button));
  }

  /** Say all of them again. */
  announce() {
    for (const [layer, button] of this.buttons) this.onChange(layer, this.#isOn(button));
  }

  /** @param {HTMLElement} button */
  #isOn(button) {
    return button.getAttribute("aria-pressed") === "true";
  }
}
