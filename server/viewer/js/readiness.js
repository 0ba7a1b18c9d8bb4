/** Why the service is not ready, in its own words. */

import { serviceUrl } from "./api.js";
import { plain } from "./words.js";

const FINE = new Set(["running", "streaming"]);

/** @returns {Promise<string>} Empty where the service is ready, or cannot say. */
export async function readinessInWords() {
  try {
    const response = await fetch(serviceUrl("readyz"), { cache: "no-store" });
    return troubles(await response.json()).join(". ");
  } catch {
    return "";
  }
}

/**
 * Every part with a state that is not fine, however the parts are nested.
 *
 * @param {any} body
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
