"""When the 3D canvas is drawn, in a browser that is not there."""

from __future__ import annotations

from tests.server.viewer.node import Run, needs_node

pytestmark = needs_node

# `frame()` is a browser's turn: first the animation loop, then, where the size is a new one, those who watch it.
PAGE = """
let resized, loop;
globalThis.window = { devicePixelRatio: 1 };
globalThis.ResizeObserver = class { constructor(call) { resized = call; } observe() {} };
const canvas = new EventTarget();
const sizes = [], drawn = [];
const renderer = { domElement: canvas, xr: { isPresenting: false }, setPixelRatio() {},
  setSize: (...size) => sizes.push(size), setAnimationLoop: (call) => (loop = call) };
const element = { clientWidth: 800, clientHeight: 600 };
let seen = "800x600", news = false;
const frame = () => {
  loop(performance.now());
  const now = `${element.clientWidth}x${element.clientHeight}`;
  if (now !== seen) resized();
  seen = now;
};
const { Repaint } = await import("./js/scene/repaint.js");
const repaint = new Repaint(renderer, element,
  { animate: () => news, fit() {}, draw: () => drawn.push(`${sizes.at(-1)[0]}x${sizes.at(-1)[1]}`) });
"""


def test_a_picture_is_made_of_news_and_of_nothing_else(run: Run) -> None:
    body = (
        PAGE
        + """
    frame(); frame(); frame();
    const first = drawn.length;
    news = true; frame(); frame(); news = false; frame();
    const second = drawn.length;
    repaint.request(); frame(); frame();
    resized();
    return [first, second, drawn.length, sizes.length];
    """
    )
    assert run(body) == [1, 3, 4, 1]


def test_a_new_size_is_never_shown_without_a_picture(run: Run) -> None:
    body = (
        PAGE
        + """
    frame();
    const shown = [];
    for (const width of [700, 650, 640]) {
      element.clientWidth = width;
      frame();
      shown.push(drawn.at(-1));
    }
    const made = drawn.length;
    frame();
    return { shown, more: drawn.length - made };
    """
    )
    assert run(body) == {"shown": ["700x600", "650x600", "640x600"], "more": 0}


def test_nothing_is_drawn_without_graphics_and_all_again_once_they_are_back(run: Run) -> None:
    body = (
        PAGE
        + """
    frame();
    canvas.dispatchEvent(new Event("webglcontextlost"));
    news = true; frame(); news = false;
    const without = [drawn.length, repaint.lost];
    canvas.dispatchEvent(new Event("webglcontextrestored"));
    frame(); frame();
    const withAgain = [drawn.length, repaint.lost];
    canvas.dispatchEvent(new Event("webglcontextlost"));
    canvas.dispatchEvent(new Event("webglcontextrestored"));
    frame();
    return [without, withAgain, drawn.length];
    """
    )
    assert run(body) == [[1, True], [2, False], 3]


def test_a_size_that_came_during_a_headset_is_taken_after_it(run: Run) -> None:
    body = (
        PAGE
        + """
    renderer.xr.isPresenting = true;
    element.clientWidth = 500;
    frame();
    const during = sizes.length;
    renderer.xr.isPresenting = false;
    return [during, repaint.fit(), sizes.at(-1)[0]];
    """
    )
    assert run(body) == [1, True, 500]
