/** Why no hand is to be seen, in words for the middle of the stage. Pure. */

import { connectionInWords } from "./words.js";

/** Hands vanish when so many messages in a row have not come, within these limits. */
const STALE_AFTER = { messages: 3, leastMs: 500, mostMs: 2000 };

export const FOOTAGE_OVER = "The footage is over";

/** After a sleep or a reset of the graphics card. Most browsers give the graphics back by themselves. */
export const GRAPHICS_LOST = "The browser has lost its 3D graphics; if they are not back in a few seconds, load this page again";

/** @param {number} rateHz Messages a second so far. @returns {number} The age at which a message is no longer about now. */
export function staleAfterMs(rateHz) {
  const { messages, leastMs, mostMs } = STALE_AFTER;
  return rateHz > 0 ? Math.min(mostMs, Math.max(leastMs, (1000 * messages) / rateHz)) : mostMs;
}

/**
 * @param {object} now
 * @param {import("./types.js").ConnectionState} now.connection
 * @param {boolean} now.ended Whether the newest message says that the footage is over.
 * @param {boolean} now.fresh Whether the newest message is about now. @param {boolean} now.heard Whether there was any.
 * @param {string} now.notReady What the service says is missing.
 * @param {number} now.hands @param {number} now.viewsUsed @param {number} now.cameras
 * @returns {string} Empty where there are hands.
 */
export function noticeInWords({ connection, ended, fresh, heard, notReady, hands, viewsUsed, cameras }) {
  if (connection.phase !== "open") return connectionInWords(connection);
  if (ended) return FOOTAGE_OVER;
  if (!fresh) return notReady || `Connected, waiting for the ${heard ? "next" : "first"} pictures`;
  if (hands > 0) return "";
  // A hand takes two views: say so where the pictures, and not the hand, are missing.
  if (viewsUsed > 1 || cameras < 2) return "No hand in view";
  return `No hand in view: ${viewsUsed === 1 ? "only one camera" : "no camera"} of ${cameras} gave a picture in time`;
}
