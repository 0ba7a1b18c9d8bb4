/** The list of what is wrong and what to do, over the stage. What was read can be put away until it is over. */

/** @typedef {import("./advice.js").Advice} Advice */

const MOST_SHOWN = 4;

export class AdviceList {
  /** @param {HTMLElement} list */
  constructor(list) {
    this.list = list;
    /** @type {Map<string, HTMLElement>} */
    this.lines = new Map();
    /** @type {Set<string>} */
    this.putAway = new Set();
  }

  /** @param {Advice[]} advice */
  show(advice) {
    const present = new Set(advice.map(({ id }) => id));
    for (const id of this.putAway) {
      if (!present.has(id)) this.putAway.delete(id);
    }
    const shown = advice.filter(({ id }) => !this.putAway.has(id)).slice(0, MOST_SHOWN);
    const wanted = new Set(shown.map(({ id }) => id));
    for (const [id, line] of this.lines) {
      if (wanted.has(id)) continue;
      line.remove();
      this.lines.delete(id);
    }
    for (const each of shown) this.#write(each);
  }

  /** @param {Advice} advice */
  #write({ id, level, words }) {
    let line = this.lines.get(id);
    if (!line) {
      const template = /** @type {HTMLTemplateElement} */ (document.getElementById("advice-line"));
      line = /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
      line.querySelector("button")?.addEventListener("click", () => {
        this.putAway.add(id);
        this.lines.get(id)?.remove();
        this.lines.delete(id);
      });
      this.lines.set(id, line);
      this.list.append(line);
    }
    line.dataset.level = level;
    const text = /** @type {HTMLElement} */ (line.querySelector(".advice-words"));
    if (text.textContent !== words) text.textContent = words;
  }
}
