/** How long to wait before a connection is tried again. */

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10000;

/**
 * Pause before the next try: doubled each time up to a limit, spread so that many pages do not come back at one instant.
 *
 * @param {number} failures Tries that failed in a row, from 1.
 * @param {number} chance In [0, 1).
 * @returns {number} Milliseconds.
 */
export function pauseBefore(failures, chance) {
  const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1));
  return Math.round(pause * (0.75 + 0.5 * chance));
}
