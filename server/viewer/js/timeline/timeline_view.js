/** The timeline on the page: a canvas drawn once a second, its legend, and a reading of the moment pointed at. */

import { causeMeaning, causeName } from "../drop_causes.js";
import { cssColour } from "../theme.js";
import { number } from "../words.js";
import { STAGES } from "./bins.js";
import { OTHER_CAUSES, ageAt, shownCauses, timelineLayout } from "./layout.js";
import { STAGE_WORDS, momentInWords, recentStageMs } from "./timeline_words.js";

/** @typedef {import("./bins.js").TimelineBins} TimelineBins */
/** @typedef {import("./layout.js").Lane} Lane */
/** @typedef {import("./layout.js").Point} Point */

const NOTHING_POINTED_AT = "The last minute, a dash for the slowest message of a second; point at it to read a second";
const CAUSE_COLOURS = ["--cause-1", "--cause-2", "--cause-3", "--cause-4", "--cause-5"];

export class TimelineView {
  /**
   * @param {TimelineBins} bins
   * @param {object} elements
   * @param {HTMLCanvasElement} elements.canvas @param {HTMLElement} elements.moment @param {HTMLElement} elements.stages
   * @param {HTMLElement} elements.causes
   */
  constructor(bins, { canvas, moment, stages, causes }) {
    this.bins = bins;
    this.canvas = canvas;
    this.moment = moment;
    this.stages = stages;
    this.causes = causes;
    this.visible = false;
    /** The newest bin when it was last drawn. */
    this.drawnBin = -1;
    /** The bin pointed at, as it is numbered in the bins. @type {number | null} */
    this.pointed = null;
    this.colours = /** @type {Record<string, string>} */ ({});
    new ResizeObserver(() => this.draw()).observe(canvas);
    this.#listen();
  }

  /** @param {boolean} visible */
  setVisible(visible) {
    this.visible = visible;
    this.draw();
  }

  readColours() {
    const names = ["--text", "--quiet", "--line", "--accent", "--panel", ...CAUSE_COLOURS, ...STAGES.map(stageColour)];
    this.colours = Object.fromEntries(names.map((name) => [name, cssColour(name)]));
    this.draw();
  }

  /** Draw if a bin was completed since. @param {number} nowMs */
  tick(nowMs) {
    this.bins.advance(nowMs);
    if (this.visible && this.bins.newest !== this.drawnBin) this.draw();
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!this.visible || width === 0 || height === 0) return;
    this.drawnBin = this.bins.newest;
    const ratio = Math.min(window.devicePixelRatio, 2);
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    const context = this.canvas.getContext("2d");
    if (!context) return;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const layout = timelineLayout(this.bins, width, height);
    this.#drawLane(context, layout.rate, layout.left, layout.right, "Hz");
    this.#drawLane(context, layout.latency, layout.left, layout.right, "ms");
    this.#drawLane(context, layout.drops, layout.left, layout.right, "/s");
    for (const { stage, upper, lower } of layout.areas) {
      fillBetween(context, upper, lower, this.colours[stageColour(stage)]);
    }
    context.fillStyle = this.colours["--text"];
    for (const { x, y } of layout.worst) context.fillRect(x - 2, y - 0.5, 4, 1);
    strokeLine(context, layout.rateLine, this.colours["--accent"]);
    layout.bars.forEach(({ cause, boxes }, i) => {
      context.fillStyle = this.colours[causeColour(cause, i)];
      for (const box of boxes) context.fillRect(box.x, box.y, box.width, box.height);
    });
    this.#drawPointer(context, layout.left, layout.right, height);
    this.#writeLegend();
    this.#writeMoment();
  }

  /**
   * @param {CanvasRenderingContext2D} context @param {Lane} lane @param {number} left @param {number} right
   * @param {string} unit
   */
  #drawLane(context, lane, left, right, unit) {
    context.strokeStyle = this.colours["--line"];
    context.lineWidth = 1;
    for (const y of [lane.top, lane.bottom]) {
      context.beginPath();
      context.moveTo(left, Math.round(y) + 0.5);
      context.lineTo(right, Math.round(y) + 0.5);
      context.stroke();
    }
    context.fillStyle = this.colours["--quiet"];
    context.font = `11px ${getComputedStyle(this.canvas).fontFamily}`;
    context.textAlign = "right";
    context.textBaseline = "middle";
    context.fillText(lane.most.toLocaleString("en"), left - 5, lane.top + 4);
    context.fillText(unit, left - 5, lane.bottom - 4);
  }

  /** @param {CanvasRenderingContext2D} context @param {number} left @param {number} right @param {number} height */
  #drawPointer(context, left, right, height) {
    const age = this.#pointedAge();
    if (age === null) return;
    const shown = this.bins.count - 1;
    const x = left + ((shown - age + 0.5) * (right - left)) / shown;
    context.strokeStyle = this.colours["--quiet"];
    context.beginPath();
    context.moveTo(Math.round(x) + 0.5, 0);
    context.lineTo(Math.round(x) + 0.5, height);
    context.stroke();
  }

  /** @returns {number | null} Null where nothing is pointed at, or what was has left the timeline. */
  #pointedAge() {
    if (this.pointed === null) return null;
    const age = this.bins.newest - this.pointed;
    return age >= 1 && age < this.bins.count ? age : null;
  }

  /** @param {number} age */
  #point(age) {
    this.pointed = this.bins.newest - age;
    this.draw();
  }

  #listen() {
    const canvas = this.canvas;
    const follow = (/** @type {PointerEvent} */ event) => this.#point(ageAt(this.bins, event.offsetX, canvas.clientWidth));
    canvas.addEventListener("pointermove", follow);
    canvas.addEventListener("pointerdown", follow);
    canvas.addEventListener("pointerleave", () => {
      this.pointed = null;
      this.draw();
    });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: 1, ArrowRight: -1 }[event.key];
      if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      const age = (this.#pointedAge() ?? 0) + step;
      this.#point(Math.min(this.bins.count - 1, Math.max(1, age)));
    });
    canvas.addEventListener("blur", () => {
      this.pointed = null;
      this.draw();
    });
  }

  #writeMoment() {
    const age = this.#pointedAge();
    const words = age === null ? NOTHING_POINTED_AT : momentInWords(this.bins, age);
    if (this.moment.textContent !== words) this.moment.textContent = words;
  }

  #writeLegend() {
    const stages = STAGES.map((stage, s) => ({
      name: STAGE_WORDS[stage].name,
      value: number(recentStageMs(this.bins, s), 0, "ms"),
      meaning: STAGE_WORDS[stage].meaning,
      colour: stageColour(stage),
    }));
    writeEntries(this.stages, stages);
    const { named, rest } = shownCauses(this.bins);
    const totals = new Map(this.bins.causes());
    const causes = named.map((cause, i) => ({
      name: causeName(cause),
      value: Math.round(totals.get(cause) ?? 0).toLocaleString("en"),
      meaning: causeMeaning(cause),
      colour: causeColour(cause, i),
    }));
    if (rest.length) {
      const sum = rest.reduce((all, cause) => all + (totals.get(cause) ?? 0), 0);
      const meaning = rest.map(causeName).join(", ");
      causes.push({ name: "others", value: Math.round(sum).toLocaleString("en"), meaning, colour: CAUSE_COLOURS[4] });
    }
    if (causes.length === 0) causes.push({ name: "Nothing dropped", value: "", meaning: "", colour: "" });
    writeEntries(this.causes, causes);
  }
}

/** @param {string} stage */
const stageColour = (stage) => `--stage-${stage}`;

/** @param {string} cause @param {number} rank */
const causeColour = (cause, rank) => CAUSE_COLOURS[cause === OTHER_CAUSES ? 4 : Math.min(rank, 4)];

/**
 * @param {HTMLElement} list
 * @param {{name: string, value: string, meaning: string, colour: string}[]} entries
 */
function writeEntries(list, entries) {
  while (list.children.length > entries.length) list.lastElementChild?.remove();
  while (list.children.length < entries.length) {
    const item = document.createElement("li");
    for (const part of ["swatch", "entry-name", "entry-value"]) {
      const span = document.createElement("span");
      span.className = part;
      item.append(span);
    }
    list.append(item);
  }
  entries.forEach(({ name, value, meaning, colour }, i) => {
    const item = /** @type {HTMLElement} */ (list.children[i]);
    const [swatch, nameSpan, valueSpan] = /** @type {any} */ (item.children);
    swatch.hidden = colour === "";
    if (colour) swatch.style.setProperty("background", `var(${colour})`);
    if (nameSpan.textContent !== name) nameSpan.textContent = name;
    if (valueSpan.textContent !== value) valueSpan.textContent = value;
    if (item.title !== meaning) item.title = meaning;
  });
}

/** @param {CanvasRenderingContext2D} context @param {Point[]} upper @param {Point[]} lower @param {string} colour */
function fillBetween(context, upper, lower, colour) {
  context.fillStyle = colour;
  context.beginPath();
  upper.forEach(({ x, y }, i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  for (let i = lower.length - 1; i >= 0; i--) context.lineTo(lower[i].x, lower[i].y);
  context.closePath();
  context.fill();
}

/** @param {CanvasRenderingContext2D} context @param {Point[]} points @param {string} colour */
function strokeLine(context, points, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.lineJoin = "round";
  context.beginPath();
  points.forEach(({ x, y }, i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.stroke();
}
