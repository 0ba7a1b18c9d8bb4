/** Why the service did not take the stream's connection: a browser does not tell, and other requests may. */

/**
 * @param {import("./options.js").Options} options
 * @returns {Promise<import("viewer/stream.js").Refusal | null>} Null where nothing can be told.
 */
export async function whyRefused({ service, foreign }) {
  try {
    // Of another service no answer can be read, but only that there was one.
    const response = await fetch(new URL(foreign ? "healthz" : "api/v1/engine", service), {
      cache: "no-store",
      mode: foreign ? "no-cors" : "same-origin",
    });
    if (response.ok) return null;
    if (response.status === 401) return refused("The service wants its access token: add ?token=... to the address of this page");
    return foreign ? refused("The service refuses this page: give its access token as ?token=...") : null;
  } catch {
    return refused("Service not reachable");
  }
}

/** @param {string} reason */
const refused = (reason) => ({ reason, needsToken: false });
