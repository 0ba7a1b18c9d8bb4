"""The calibration panel's modules, on a page that is not there: what they ask for, and hand to the browser."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.viewer.node import Run, needs_node

pytestmark = needs_node

# As much of a browser as the modules touch; `asked` has the addresses, `clicked` the links that were followed.
PAGE = """
const asked = [], clicked = [], timers = [];
class Element {
  constructor() { this.listeners = {}; this.dataset = {}; this.classList = { add() {} }; this.offsetParent = this; }
  addEventListener(kind, listener) { this.listeners[kind] = listener; }
  setAttribute() {} removeAttribute() {} append() {} remove() {} replaceChildren() {}
  getContext() { return null; }
  click() { clicked.push({ href: this.href, download: this.download }); }
}
globalThis.document = { baseURI: "http://rig/", hidden: false, createElement: () => new Element() };
globalThis.window = { location: { href: "http://rig/" }, history: { replaceState() {} }, setInterval() {},
  matchMedia: () => ({ matches: false, addEventListener() {} }), setTimeout: (call) => timers.push(call),
  sessionStorage: { getItem: () => null, setItem() {} } };
globalThis.sessionStorage = globalThis.localStorage = window.sessionStorage;
globalThis.fetch = async (url) => { asked.push(String(url)); return new Response('{"versions": []}'); };
globalThis.createImageBitmap = async () => ({ close() {} });
const settled = () => new Promise((resolve) => setTimeout(resolve, 50));
"""


def test_a_copy_of_the_running_calibration_is_given_as_a_file(run: Run) -> None:
    body = (
        PAGE
        + """
    const { CalibrationPanel } = await import("./js/calibration/calibration_panel.js");
    const names = ["running", "save", "versions", "form", "file", "format", "formats", "units", "use", "verdict"];
    const elements = Object.fromEntries(names.map((name) => [name, new Element()]));
    new CalibrationPanel(elements);
    elements.save.listeners.click();
    await settled();
    return { asked, clicked };
    """
    )
    done = run(body)
    assert done["asked"][0] == "http://rig/api/v1/calibration"
    (link,) = done["clicked"]
    assert link["download"] == "calibration.json"
    assert link["href"].startswith("blob:")


@pytest.mark.parametrize(
    ("corners", "address"),
    [
        ([[10, 20]], "http://rig/api/v1/calibration/session/pictures/cam0.jpg"),
        (None, "http://rig/api/v1/cameras/cam0/preview.jpg?overlay=0&width=480"),
    ],
)
def test_corners_come_with_the_picture_that_they_were_found_in(
    run: Run, corners: list[list[int]] | None, address: str
) -> None:
    body = (
        PAGE
        + """
    const { LivePictures } = await import("./js/calibration/live_pictures.js");
    const pictures = new LivePictures(new Element());
    const cam0 = { size: [1280, 720], sights: 1, covered: 0.1, coverage: [], corners_px: given, refusal: "" };
    pictures.show({ cam0 });
    await settled();
    timers[0]();
    await settled();
    return asked;
    """
    )
    assert run(body, corners)[-1] == address


@pytest.mark.parametrize(
    ("session", "least", "most"),
    [(None, 2, 3), ({"state": "collecting", "cameras": {}, "guidance": [], "can_solve": False}, 19, 21)],
    ids=["none", "one"],
)
def test_a_session_is_asked_for_often_only_while_one_runs(
    run: Run, session: dict[str, Any] | None, least: int, most: int
) -> None:
    body = (
        PAGE
        + """
    const ticks = [];
    window.setInterval = (call) => ticks.push(call);
    let nowMs = 0;
    globalThis.performance.now = () => nowMs;
    globalThis.fetch = async (url) => {
      asked.push(String(url));
      return given ? Response.json(given) : Response.json({ detail: "none runs" }, { status: 404 });
    };
    const { LivePanel } = await import("./js/calibration/live_panel.js");
    const names = ["form", "board", "world", "running", "stage", "hints", "pictures"];
    names.push("solve", "accept", "cancel", "verdict");
    const elements = Object.fromEntries(names.map((name) => [name, Object.assign(new Element(), { children: [] })]));
    const panel = new LivePanel(elements, () => {});
    panel.setVisible(true);
    await settled();
    for (; nowMs < 10000; nowMs += 500) {
      ticks.forEach((tick) => tick());
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return asked.filter((address) => address === "http://rig/api/v1/calibration/session").length;
    """
    )
    assert least <= run(body, session) <= most


def test_marks_of_a_calibration_end_with_it_though_its_panel_is_closed(run: Run) -> None:
    body = (
        PAGE
        + """
    const ticks = [];
    window.setInterval = (call) => ticks.push(call);
    let nowMs = 0, runs = true;
    globalThis.performance.now = () => nowMs;
    const board = { cam0: { coverage: [[9]], size: [4, 3] } };
    const hands = { cam0: { coverage: [[1]], residuals_px: [] } };
    globalThis.fetch = async (url) => {
      if (String(url).endsWith("/marks")) return Response.json({ cameras: hands });
      if (!String(url).endsWith("/session")) return new Response("", { status: 404 });
      if (!runs) return Response.json({ detail: "none runs" }, { status: 404 });
      return Response.json({ state: "collecting", cameras: board, guidance: [], can_solve: false });
    };
    const { LivePanel } = await import("./js/calibration/live_panel.js");
    const { MarksPoll } = await import("./js/calibration/marks.js");
    let shown = {};
    const marks = new MarksPoll((newest) => (shown = newest));
    const names = ["form", "board", "world", "running", "stage", "hints", "pictures"];
    names.push("solve", "accept", "cancel", "verdict");
    const elements = Object.fromEntries(names.map((name) => [name, Object.assign(new Element(), { children: [] })]));
    const panel = new LivePanel(elements, (session) => marks.hearSession(session));
    const second = async () => {
      for (let i = 0; i < 2; i++) {
        nowMs += 500;
        ticks.forEach((tick) => tick());
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    marks.want("coverage", true);
    panel.setVisible(true);
    await second();
    const during = shown.cam0.coverage;
    panel.setVisible(false);
    runs = false;
    await second();
    await second();
    return { during, after: shown.cam0.coverage };
    """
    )
    assert run(body) == {"during": [[9]], "after": [[1]]}


def test_no_picture_of_a_live_calibration_is_left_open(run: Run) -> None:
    body = (
        PAGE
        + """
    let open = 0, answers = true;
    globalThis.createImageBitmap = async () => {
      open += 1;
      let mine = true;
      return { close() { open -= mine ? 1 : 0; mine = false; } };
    };
    globalThis.fetch = async () => (answers ? new Response("picture") : new Response("", { status: 503 }));
    const { LivePictures } = await import("./js/calibration/live_pictures.js");
    const pictures = new LivePictures(new Element());
    const cam0 = { size: [4, 3], sights: 1, covered: 0.1, coverage: [], corners_px: null, refusal: "" };
    const next = async () => { timers.pop()(); await settled(); };
    pictures.show({ cam0 });
    await settled();
    const seen = [open];
    await next();
    seen.push(open);
    answers = false;
    await next();
    seen.push(open);
    answers = true;
    timers.pop()();
    pictures.show({});
    await settled();
    return [...seen, open];
    """
    )
    assert run(body) == [1, 1, 0, 0]
