/** Why the service is not ready, in its own words. Pure. */

import { plain } from "./words.js";

const FINE = new Set(["running", "streaming"]);

/**
 * Every part with a state that is not fine, however the parts are nested.
 *
 * @param {any} body Of `/readyz`.
 * @param {string} [name] Of the part.
 * @returns {string[]}
 */
export function troubles(body, name = "") {
  if (typeof body !== "object" || body === null) return [];
  const own = [];
  if (typeof body.state === "string" && name && !FINE.has(body.state)) {
    const words = String(body.message || plain(body.state));
    const whose = name === "engine" ? "Engine" : name;
    own.push(words.startsWith(name) ? words : `${whose}: ${words}`);
  }
  const label = (/** @type {string} */ key, /** @type {any} */ part) => String(part?.id ?? part?.name ?? key);
  return own.concat(...Object.entries(body).map(([key, part]) => troubles(part, label(key, part))));
}
