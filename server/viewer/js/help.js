/** The help: a dialogue with every shortcut, and the switch for those who want none. */

import { remember, remembered } from "./settings.js";
import { SHORTCUTS, wishOf } from "./shortcuts.js";

const KEY = "shortcuts";

/**
 * @param {object} elements
 * @param {HTMLDialogElement} elements.dialog @param {HTMLElement} elements.list @param {HTMLInputElement} elements.toggle
 * @param {HTMLElement} elements.button
 * @param {(action: string, argument: string) => void} perform
 */
export function setUpHelp({ dialog, list, toggle, button }, perform) {
  list.replaceChildren(
    ...SHORTCUTS.map(({ shown, words }) => {
      const entry = document.createElement("div");
      entry.append(
        Object.assign(document.createElement("dt"), { textContent: shown }),
        Object.assign(document.createElement("dd"), { textContent: words }),
      );
      return entry;
    }),
  );
  toggle.checked = remembered(KEY, true);
  toggle.addEventListener("change", () => remember(KEY, toggle.checked));
  button.addEventListener("click", () => dialog.showModal());
  // A press on the dialogue itself is one beside its content.
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.addEventListener("keydown", (event) => {
    if (!toggle.checked || event.defaultPrevented || document.querySelector("dialog[open]")) return;
    const wish = wishOf(event, /** @type {any} */ (event.target));
    if (wish === null) return;
    event.preventDefault();
    if (wish.action === "help") dialog.showModal();
    else perform(wish.action, wish.argument);
  });
}
