/** Entering and leaving a headset, or the camera view of a phone, by WebXR. */

/** @typedef {"ar" | "vr"} Mode */

/** As WebXR calls them. @type {Record<Mode, XRSessionMode>} */
const SESSION_MODES = { ar: "immersive-ar", vr: "immersive-vr" };

/** @returns {Promise<Record<Mode, boolean>>} What this browser can enter, here and now. */
export async function offeredModes() {
  const can = async (/** @type {Mode} */ mode) =>
    (await navigator.xr?.isSessionSupported(SESSION_MODES[mode]).catch(() => false)) ?? false;
  const [ar, vr] = await Promise.all([can("ar"), can("vr")]);
  return { ar, vr };
}

/** @returns {string} Why nothing can be entered, where the page can tell. */
export function whyNone() {
  if (!window.isSecureContext) return "Headsets need a page from https, or from localhost";
  return navigator.xr ? "No headset here" : "This browser has no WebXR";
}

export class Headset {
  /**
   * @param {import("three").WebXRManager} xr
   * @param {HTMLElement} overlay Shown over the camera's picture on a phone.
   * @param {object} listeners
   * @param {(mode: Mode, overlaid: boolean) => void} listeners.onEntered Told whether the overlay is seen.
   * @param {() => void} listeners.onLeft
   * @param {() => void} listeners.onSelect The trigger, or a pinch. @param {() => void} listeners.onSqueeze The grip.
   */
  constructor(xr, overlay, { onEntered, onLeft, onSelect, onSqueeze }) {
    this.xr = xr;
    this.overlay = overlay;
    this.listeners = { onEntered, onLeft, onSelect, onSqueeze };
    // Told by Three, and not by the session: then the canvas and the camera are the screen's again.
    xr.addEventListener("sessionend", () => this.listeners.onLeft());
  }

  /**
   * @param {Mode} mode
   * @throws {Error} If the browser refuses.
   */
  async enter(mode) {
    if (!navigator.xr) throw new Error(whyNone());
    const session = await navigator.xr.requestSession(SESSION_MODES[mode], {
      optionalFeatures: ["local-floor", "dom-overlay"],
      domOverlay: { root: this.overlay },
    });
    session.addEventListener("select", () => this.listeners.onSelect());
    session.addEventListener("squeeze", () => this.listeners.onSqueeze());
    // With no floor known, the origin is where the viewer's eyes were.
    const floor = session.enabledFeatures?.includes("local-floor") ?? true;
    try {
      this.xr.setReferenceSpaceType(floor ? "local-floor" : "local");
      await this.xr.setSession(session);
    } catch (error) {
      await session.end().catch(() => {});
      throw error;
    }
    this.listeners.onEntered(mode, Boolean(session.domOverlayState));
  }

  leave() {
    void this.xr.getSession()?.end();
  }
}
