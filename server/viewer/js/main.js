/** The viewer: connects the stream to the 3D view, the pictures, the numbers and the timeline. */

import { AdviceList } from "./advice_list.js";
import { cameraAdvice, engineAdvice, speedAdvice } from "./advice.js";
import { ServiceError, ask, getJson, request, socketUrl } from "./api.js";
import { CalibrationPanel } from "./calibration/calibration_panel.js";
import { LivePanel } from "./calibration/live_panel.js";
import { MarksPoll } from "./calibration/marks.js";
import { Pictures } from "./cameras/pictures.js";
import { ClockOffset } from "./clock.js";
import { DropWatch } from "./drop_causes.js";
import { ErrorWatch } from "./error_watch.js";
import { setUpHelp } from "./help.js";
import { LayerSwitch } from "./layer_switch.js";
import { elapsedMs, readHands } from "./messages.js";
import { GRAPHICS_LOST, noticeInWords, staleAfterMs } from "./notice.js";
import { canRecord, uploadFormats } from "./offers.js";
import { PanelSwitch } from "./panel_switch.js";
import { troubles } from "./readiness.js";
import { Readout } from "./readout.js";
import { RecordingControl } from "./recording.js";
import { ServicePoll, readiness } from "./service_poll.js";
import { remember, remembered } from "./settings.js";
import { HandStream } from "./stream.js";
import { setUpTheme } from "./theme.js";
import { TimelineBins } from "./timeline/bins.js";
import { TimelineView } from "./timeline/timeline_view.js";
import { TokenForm } from "./token_form.js";
import { connectionInWords } from "./words.js";

/** @typedef {import("./types.js").CameraInfo} CameraInfo */
/** @typedef {import("./types.js").ConnectionState} ConnectionState */
/** @typedef {import("./types.js").HandsMessage} HandsMessage */
/** @typedef {import("./scene/theatre.js").Theatre} Theatre */

const STREAM = { format: "msgpack", dialect: "mano", fields: "joints,vertices,covariance,stats", max_hz: 60 };
const HEADSET_PAGE = "client/";
const WRITE_EVERY_MS = 250;
/** How far back the hint about speed looks. */
const LATELY_MS = 12000;

const element = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));

class Viewer {
  constructor() {
    /** @type {Theatre | null} */
    this.theatre = null;
    /** @type {import("./types.js").Skeleton | null} */
    this.skeleton = null;
    /** @type {CameraInfo[]} */
    this.cameras = [];
    this.rigKey = "";
    this.modelId = /** @type {string | null} */ (null);
    this.connection = /** @type {ConnectionState} */ ({ phase: "connecting" });
    this.lastHandsMs = -Infinity;
    this.handCount = 0;
    this.notReady = "";
    this.refused = false;
    this.clock = new ClockOffset();
    this.bins = new TimelineBins();
    this.drops = new DropWatch(LATELY_MS);
    this.errors = new ErrorWatch();
    this.readout = new Readout(element("metrics"), element("hands"), this.clock);
    this.advice = new AdviceList(element("advice"));
    this.timeline = new TimelineView(this.bins, {
      canvas: element("timeline-canvas"),
      moment: element("timeline-moment"),
      stages: element("timeline-stages"),
      causes: element("timeline-causes"),
    });
    this.calibration = new CalibrationPanel({
      running: element("calibration-running"),
      save: element("calibration-save"),
      versions: element("calibration-versions"),
      form: element("calibration-form"),
      file: element("calibration-file"),
      format: element("calibration-format"),
      formats: element("calibration-formats"),
      units: element("calibration-units"),
      use: element("calibration-use"),
      verdict: element("calibration-verdict"),
    });
    this.marks = new MarksPoll((marks) => this.theatre?.marks.show(marks));
    this.live = new LivePanel(
      {
        form: element("live-form"),
        board: element("live-board"),
        world: element("live-world"),
        running: element("live-running"),
        stage: element("live-stage"),
        hints: element("live-hints"),
        pictures: element("live-pictures"),
        solve: element("live-solve"),
        accept: element("live-accept"),
        cancel: element("live-cancel"),
        verdict: element("live-verdict"),
      },
      (session) => this.marks.hearSession(session),
    );
    this.recording = new RecordingControl(element("record"), () => void this.poll.now());
    this.pictures = new Pictures(element("pictures"), element("pinned"), {
      onPick: (id) => this.theatre?.viewFrom(id),
      onPinned: (ids) => remember("pinned", ids),
    });
    this.layers = new LayerSwitch(element("tools"), (layer, on) => {
      this.theatre?.setLayer(layer, on);
      if (layer === "coverage" || layer === "residuals") this.marks.want(layer, on);
    });
    this.panels = new PanelSwitch(
      element("panels"),
      element("main"),
      {
        cameras: element("panel-cameras"),
        timeline: element("panel-timeline"),
        calibration: element("panel-calibration"),
      },
      (open) => {
        this.timeline.setVisible(open.has("timeline"));
        this.calibration.setVisible(open.has("calibration"));
        this.live.setVisible(open.has("calibration"));
      },
    );
    this.poll = new ServicePoll({
      onAnswer: (cameras, stats, atMs) => void this.hearAnswer(cameras, stats, atMs),
      onUnreachable: () => this.pictures.setUnreachable(),
    });
    this.stream = new HandStream(
      () => socketUrl("api/v1/stream", STREAM),
      {
        onMessage: (message, receivedMs) => this.hear(message, receivedMs),
        onState: (state) => this.setConnection(state),
      },
      whyRefused,
    );
    this.tokenForm = new TokenForm(
      {
        dialog: element("token-dialog"),
        form: element("token-form"),
        field: element("token-field"),
        complaint: element("token-complaint"),
      },
      () => this.stream.hurry(),
    );
  }

  async start() {
    this.changeTheme = setUpTheme(element("theme"), () => {
      this.theatre?.readColours();
      this.timeline.readColours();
    });
    this.setUpControls();
    this.panels.show();
    this.stream.connect();
    this.poll.start();
    window.setInterval(() => this.tick(), WRITE_EVERY_MS);
    await this.setUpTheatre();
  }

  async setUpTheatre() {
    const canvas = element("canvas");
    try {
      if (!document.createElement("canvas").getContext("webgl2")) throw new Error("no WebGL 2");
      // Three.js is large: where there is no WebGL it is not even asked for.
      const { Theatre } = await import("./scene/theatre.js");
      this.theatre = new Theatre(
        { canvas, frame: element("stage"), labels: element("labels") },
        { onViewFrom: (id) => this.showViewFrom(id), onShown: (message, nowMs) => this.hearShown(message, nowMs) },
      );
    } catch (error) {
      console.warn("The 3D view is off:", error);
      element("stage").dataset.flat = "";
      element("fallback").hidden = false;
      return;
    }
    const fallback = element("fallback");
    fallback.textContent = GRAPHICS_LOST;
    canvas.addEventListener("webglcontextlost", () => (fallback.hidden = false));
    canvas.addEventListener("webglcontextrestored", () => (fallback.hidden = true));
    this.layers.announce();
    this.theatre.setCameras(this.cameras);
    if (this.skeleton) this.theatre.setSkeleton(this.skeleton);
  }

  setUpControls() {
    element("reset-view").addEventListener("click", () => this.theatre?.resetView());
    element("overlay").addEventListener("click", () => this.toggleOverlay());
    for (const id of /** @type {unknown[]} */ (remembered("pinned", /** @type {unknown[]} */ ([])))) {
      if (typeof id === "string") this.pictures.pin(id, true);
    }
    setUpHelp(
      {
        dialog: element("help-dialog"),
        list: element("shortcuts"),
        toggle: element("shortcuts-on"),
        button: element("help"),
      },
      (action, argument) => this.perform(action, argument),
    );
  }

  /** @param {string} action @param {string} argument As in the table of shortcuts. */
  perform(action, argument) {
    const actions = /** @type {Record<string, () => void>} */ ({
      layer: () => this.layers.toggle(argument),
      camera: () => {
        const camera = this.cameras[Number(argument) - 1];
        if (camera) this.theatre?.viewFrom(camera.id);
      },
      reset: () => this.theatre?.resetView(),
      panel: () => this.panels.toggle(/** @type {any} */ (argument)),
      overlay: () => this.toggleOverlay(),
      theme: () => this.changeTheme?.(),
    });
    actions[action]?.();
  }

  toggleOverlay() {
    const overlay = element("overlay");
    const on = overlay.getAttribute("aria-pressed") !== "true";
    overlay.setAttribute("aria-pressed", String(on));
    this.pictures.setOverlay(on);
  }

  /** @param {any} message @param {number} receivedMs */
  hear(message, receivedMs) {
    if (message.type === "hands") this.hearHands(readHands(message), receivedMs);
    else if (message.type === "pong") this.clock.add(Number(message.t), receivedMs, message.received_ns, message.sent_ns);
  }

  /** @param {HandsMessage} message @param {number} receivedMs */
  hearHands(message, receivedMs) {
    this.lastHandsMs = receivedMs;
    this.readout.hear(message, receivedMs);
    if (message.ended) {
      this.forgetHands();
      return;
    }
    const { exposure, received, solved, sent } = message.stampsNs;
    this.bins.addMessage(receivedMs, elapsedMs(exposure, received), elapsedMs(received, solved), elapsedMs(solved, sent));
    this.theatre?.show(message, receivedMs);
    this.calibration.setRunning(message.calibrationId);
    if (message.hands.length !== this.handCount) {
      this.handCount = message.hands.length;
      this.writeNotice();
    }
    // The hello names the model that the skeleton was read for; a swap of models changes the mesh.
    if (message.modelId !== null && message.modelId !== this.modelId) {
      const swapped = this.modelId !== null;
      this.modelId = message.modelId;
      if (swapped) void this.askOnce();
    }
  }

  /** @param {HandsMessage} message @param {number} nowMs When it was drawn, page clock. */
  hearShown(message, nowMs) {
    const pageMs = this.clock.ageMs(message.stampsNs.sent, nowMs);
    const wholeMs = this.clock.ageMs(message.stampsNs.exposure, nowMs);
    if (pageMs === null || wholeMs === null) return;
    // An offset between two clocks is a little wrong always; a message is not drawn before it was sent.
    this.bins.addShown(nowMs, Math.max(0, pageMs), wholeMs);
    this.readout.hearShown(nowMs, wholeMs);
  }

  /** @param {ConnectionState} state */
  setConnection(state) {
    const wasOpen = this.connection.phase === "open";
    // Once a try: a reader who closed the dialogue is not asked again while the next try is counted down to.
    const refusedNow = state.needsToken === true && state.phase === "waiting" && !this.refused;
    this.refused = state.needsToken === true && state.phase === "waiting";
    this.connection = state;
    element("connection").dataset.phase = state.phase;
    const words = connectionInWords(state);
    if (element("connection-text").textContent !== words) element("connection-text").textContent = words;
    if (state.phase === "open") {
      void this.askOnce();
      void this.poll.now();
    } else if (wasOpen) {
      this.forgetHands();
      this.readout.clear();
      this.clock.clear();
      this.drops.clear();
    }
    if (refusedNow) this.tokenForm.ask();
    this.writeNotice();
  }

  /** What changes only with the service or its model: asked for after each connection. */
  async askOnce() {
    try {
      this.readout.engine = await getJson("api/v1/engine");
    } catch {
      this.readout.engine = null; // The model's name is then read from the messages alone.
    }
    try {
      this.skeleton = await getJson("api/v1/skeleton", { dialect: STREAM.dialect });
      if (this.skeleton) this.theatre?.setSkeleton(this.skeleton);
    } catch (error) {
      console.warn("No skeleton, so no hand can be drawn:", error);
    }
    const openapi = await getJson("openapi.json").catch(() => null);
    this.calibration.offerFormats(uploadFormats(openapi));
    this.recording.offer(canRecord(openapi));
    // A page for headsets, where one is served beside this one.
    const headset = await ask(HEADSET_PAGE, {}, { method: "HEAD" }).catch(() => null);
    element("headset").href = HEADSET_PAGE;
    element("headset").hidden = !headset?.ok;
  }

  /** @param {CameraInfo[]} cameras @param {any} stats @param {number} atMs */
  async hearAnswer(cameras, stats, atMs) {
    this.readout.serviceStats = stats;
    this.setCameras(cameras);
    await this.recording.refresh();
    if (stats) {
      const frames = cameras.reduce((sum, camera) => sum + (camera.frames ?? 0), 0);
      const { fromMs, drops } = this.drops.add({ atMs, frames, sets: stats.frame_sets ?? 0, drops: stats.drops ?? {} });
      for (const [cause, count] of Object.entries(drops)) this.bins.addDrops(cause, count, fromMs, atMs);
      this.errors.add(stats.frame_sets ?? 0, stats.engine_errors_by_kind ?? {});
    }
    this.advice.show([
      ...this.recording.advice,
      ...cameraAdvice(cameras),
      ...engineAdvice(this.errors.before ?? {}, stats?.engine_errors_by_kind ?? {}),
      ...speedAdvice(this.drops.lately()),
    ]);
    // Cameras have said what is wrong with them already.
    const ready = this.handsAreFresh() ? null : await readiness();
    this.notReady = ready === null ? "" : troubles({ ...ready, cameras: {} }).join(". ");
    this.writeNotice();
  }

  /** @param {CameraInfo[]} cameras */
  setCameras(cameras) {
    this.cameras = cameras;
    this.readout.cameraCount = cameras.length;
    this.pictures.update(cameras);
    element("no-cameras").hidden = cameras.length > 0;
    const rigKey = JSON.stringify(cameras.map(({ id, width, height, calibration }) => [id, width, height, calibration]));
    if (rigKey === this.rigKey) return;
    this.rigKey = rigKey;
    this.theatre?.setCameras(cameras);
  }

  tick() {
    const nowMs = performance.now();
    if (!this.handsAreFresh() && this.readout.latest?.views.length) this.forgetHands();
    this.readout.write(nowMs);
    this.timeline.tick(nowMs);
    this.writeNotice();
  }

  handsAreFresh() {
    const nowMs = performance.now();
    return nowMs - this.lastHandsMs < staleAfterMs(this.readout.arrivals.rateHz(nowMs));
  }

  forgetHands() {
    this.theatre?.clear();
    this.handCount = 0;
    if (this.readout.latest) this.readout.latest = { ...this.readout.latest, hands: [], views: [] };
    this.writeNotice();
  }

  writeNotice() {
    const words = noticeInWords({
      connection: this.connection,
      ended: this.readout.latest?.ended ?? false,
      fresh: this.handsAreFresh(),
      heard: this.lastHandsMs > -Infinity,
      notReady: this.notReady,
      hands: this.handCount,
      viewsUsed: this.readout.latest?.views.length ?? 0,
      cameras: this.cameras.length,
    });
    const notice = element("notice");
    if (notice.textContent !== words) notice.textContent = words;
    notice.hidden = words === "";
  }

  /** @param {string | null} cameraId */
  showViewFrom(cameraId) {
    this.pictures.setCurrent(cameraId);
    const text = element("view-from");
    text.hidden = cameraId === null;
    text.textContent = cameraId === null ? "" : `View from ${cameraId}`;
  }
}

/** @returns {Promise<import("./stream.js").Refusal | null>} Null where a plain request works. */
async function whyRefused() {
  try {
    await request("api/v1/engine");
    return null;
  } catch (error) {
    if (!(error instanceof ServiceError)) return { reason: "Service not reachable", needsToken: false };
    return { reason: error.message, needsToken: error.status === 401 };
  }
}

void new Viewer().start();
