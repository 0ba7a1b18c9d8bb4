/** Dark or light: the system's choice until the reader makes one, which is then remembered. */

const KEY = "usthand-theme";
const systemDark = window.matchMedia("(prefers-color-scheme: dark)");

/** @returns {string | null} */
function remembered() {
  try {
    const theme = window.localStorage.getItem(KEY);
    return theme === "dark" || theme === "light" ? theme : null;
  } catch {
    return null; // Storage may be forbidden; the choice then lasts as long as the page.
  }
}

/** @returns {"dark" | "light"} */
function current() {
  const theme = document.documentElement.dataset.theme;
  if (theme === "dark" || theme === "light") return theme;
  return systemDark.matches ? "dark" : "light";
}

/**
 * @param {HTMLButtonElement} button
 * @param {() => void} onChange Called after every change; colours are then read from CSS again.
 */
export function setUpTheme(button, onChange) {
  const show = () => {
    const next = current() === "dark" ? "light" : "dark";
    button.setAttribute("aria-label", `Change to the ${next} theme`);
    button.title = `Change to the ${next} theme`;
    onChange();
  };
  const theme = remembered();
  if (theme !== null) document.documentElement.dataset.theme = theme;
  button.addEventListener("click", () => {
    const next = current() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try {
      window.localStorage.setItem(KEY, next);
    } catch {
      // As above.
    }
    show();
  });
  systemDark.addEventListener("change", show);
  show();
}

/** @param {string} name A custom property, for example `--grid`. @returns {string} */
export function cssColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
