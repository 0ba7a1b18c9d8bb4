/** Dark or light: the system's choice until the reader makes one, which is then remembered. */

import { remember, remembered } from "./settings.js";

const KEY = "theme";
const systemDark = window.matchMedia("(prefers-color-scheme: dark)");

/** @returns {"dark" | "light"} */
function current() {
  const theme = document.documentElement.dataset.theme;
  if (theme === "dark" || theme === "light") return theme;
  return systemDark.matches ? "dark" : "light";
}

/**
 * @param {HTMLButtonElement} button
 * @param {() => void} onChange Called after every change; colours are then read from CSS again.
 * @returns {() => void} Changes to the other theme.
 */
export function setUpTheme(button, onChange) {
  const show = () => {
    const next = current() === "dark" ? "light" : "dark";
    button.setAttribute("aria-label", `Change to the ${next} theme`);
    button.title = `Change to the ${next} theme`;
    onChange();
  };
  const change = () => {
    const next = current() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    remember(KEY, next);
    show();
  };
  const kept = remembered(KEY, /** @type {string} */ (""));
  if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
  button.addEventListener("click", change);
  systemDark.addEventListener("change", show);
  show();
  return change;
}

/** @param {string} name A custom property, for example `--grid`. @returns {string} */
export function cssColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
