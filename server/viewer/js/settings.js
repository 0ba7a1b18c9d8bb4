/** What the reader chose, kept in the browser where it lets a page keep things. */

const PREFIX = "usthand-";

/**
 * @template T
 * @param {string} name
 * @param {T} fallback Returned too where what was kept is of another kind.
 * @returns {T}
 */
export function remembered(name, fallback) {
  try {
    const text = window.localStorage.getItem(PREFIX + name);
    const value = text === null ? fallback : JSON.parse(text);
    return typeof value === typeof fallback && Array.isArray(value) === Array.isArray(fallback) ? value : fallback;
  } catch {
    return fallback;
  }
}

/** @param {string} name @param {unknown} value */
export function remember(name, value) {
  try {
    window.localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Storage may be forbidden or full; the choice then lasts as long as the page.
  }
}
