/** The calibration panel: what runs, what ran, and another one, judged before it is used. */

import { ServiceError, ask, getJson, request } from "../api.js";
import { shortId } from "../words.js";
import { formatOf, verdictOf, versionInWords } from "./calibration_words.js";
import { showVerdict } from "./verdict_view.js";

/** @typedef {import("./calibration_words.js").Verdict} Verdict */

const PATH = "api/v1/calibration";

export class CalibrationPanel {
  /**
   * @param {Record<"running" | "save" | "versions" | "form" | "file" | "format" | "formats" | "units" | "use" | "verdict", any>} elements
   */
  constructor(elements) {
    this.elements = elements;
    this.visible = false;
    this.runningId = /** @type {string | null} */ (null);
    this.busy = false;
    this.forcible = false;
    const { save, form, file, format, units, use } = elements;
    save.addEventListener("click", () => void this.#save());
    file.addEventListener("change", () => {
      if (file.files.length) format.value = formatOf(file.files[0].name);
      this.#forget();
    });
    format.addEventListener("input", () => this.#forget());
    units.addEventListener("change", () => this.#forget());
    form.addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      void this.#upload(true);
    });
    use.addEventListener("click", () => void this.#upload(false));
  }

  /** @param {string[]} formats What an upload may be. */
  offerFormats(formats) {
    this.elements.formats.replaceChildren(
      ...formats.map((name) => Object.assign(document.createElement("option"), { value: name })),
    );
  }

  /** @param {boolean} visible */
  setVisible(visible) {
    this.visible = visible;
    if (visible) void this.refresh();
  }

  /** @param {string | null} id The calibration that the newest message was made with. */
  setRunning(id) {
    if (id === this.runningId) return;
    this.runningId = id;
    this.elements.running.textContent = shortId(id);
    this.elements.running.title = id ?? "";
    if (this.visible) void this.refresh();
  }

  async refresh() {
    try {
      const { versions } = await getJson(`${PATH}/history`);
      this.#showVersions(versions.map(versionInWords).reverse());
    } catch (error) {
      this.elements.versions.replaceChildren(item(wordsOf(error)));
    }
  }

  /** @param {ReturnType<typeof versionInWords>[]} versions Newest first. */
  #showVersions(versions) {
    const lines = versions.map((version) => {
      const line = item(`${version.number}`, "version-number");
      line.dataset.running = String(version.running);
      const name = Object.assign(document.createElement("span"), { className: "version-id", textContent: shortId(version.id) });
      name.title = version.id;
      const words = Object.assign(document.createElement("span"), { className: "version-words", textContent: version.words });
      line.append(name, words);
      if (version.running) {
        line.append(Object.assign(document.createElement("span"), { className: "version-running", textContent: "in use" }));
        if (this.runningId === null) this.setRunning(version.id);
      } else {
        const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Go back" });
        button.setAttribute("aria-label", `Go back to version ${version.number}`);
        button.addEventListener("click", () => void this.#rollBack(version.number));
        line.append(button);
      }
      return line;
    });
    this.elements.versions.replaceChildren(...lines);
  }

  /** Give the running calibration to the browser as a file: the service forgets it when it ends. */
  async #save() {
    await this.#alone(async () => {
      const body = await (await request(PATH)).blob();
      const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(body), download: "calibration.json" });
      link.click();
      window.setTimeout(() => URL.revokeObjectURL(link.href), 10_000); // The browser reads it in its own time.
    });
  }

  /** @param {number} version */
  async #rollBack(version) {
    await this.#alone(async () => {
      await request(`${PATH}/rollback`, { version }, { method: "POST" });
      this.#showVerdict({ level: "ok", headline: `Version ${version} is in use again`, lines: [] });
    });
  }

  /** @param {boolean} dryRun */
  async #upload(dryRun) {
    const { file, format, units, use } = this.elements;
    const chosen = /** @type {File | undefined} */ (file.files[0]);
    if (!chosen) {
      this.#showVerdict({ level: "wait", headline: "Choose a file first", lines: [] });
      file.focus();
      return;
    }
    await this.#alone(async () => {
      const query = {
        dry_run: dryRun ? 1 : 0,
        format: format.value.trim() || "usthand",
        ...(units.value && { units: units.value }),
        ...(this.forcible && !dryRun && { force: 1 }),
      };
      // Read now: a file that was changed on the disk since it was chosen could not be sent at all.
      const body = await chosen.arrayBuffer();
      const response = await ask(PATH, query, { method: "PUT", body });
      const answer = await response.json().catch(() => ({ detail: `the service answered with error ${response.status}` }));
      this.#showVerdict(verdictOf(answer));
      // What only looks like a mistake may be right: the reader has read why it is doubted.
      this.forcible = answer.forcible === true;
      use.textContent = this.forcible ? "It is right: use it" : "Use it";
      use.hidden = !(dryRun && (response.ok || this.forcible));
    });
  }

  /** One change at a time. @param {() => Promise<void>} change */
  async #alone(change) {
    if (this.busy) return;
    this.busy = true;
    this.elements.form.setAttribute("aria-busy", "true");
    try {
      await change();
    } catch (error) {
      this.#showVerdict({ level: "bad", headline: wordsOf(error), lines: [] });
    } finally {
      this.busy = false;
      this.elements.form.removeAttribute("aria-busy");
      void this.refresh();
    }
  }

  /** What was judged is not what would be sent now. */
  #forget() {
    this.forcible = false;
    this.elements.use.hidden = true;
    this.elements.verdict.replaceChildren();
  }

  /** @param {Verdict} verdict */
  #showVerdict(verdict) {
    showVerdict(this.elements.verdict, verdict);
  }
}

/** @param {string} text @param {string} [className] Of a span around it. */
function item(text, className = "") {
  const line = document.createElement("li");
  line.append(Object.assign(document.createElement("span"), { className, textContent: text }));
  return line;
}

/** @param {unknown} error */
function wordsOf(error) {
  if (error instanceof ServiceError) return error.message;
  return error instanceof DOMException ? "The file cannot be read any more; choose it again" : String(error);
}
