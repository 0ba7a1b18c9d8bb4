"""A known hand, a fake engine and a fake capture session: the fakes stand at the hardware edge only."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from numpy.typing import NDArray

from calibration import Rig
from capture.frames import Frame, FrameSet
from engine.hand_model.model import HandModel, PosedHand, Side
from engine.hand_model.rotations import quaternion_from_matrix
from engine.synthetic.rigs import make_rig
from engine.types import EngineCard, HandPose
from server.access import Access
from server.app import create_app
from server.leap import leap_app
from server.models import ModelPlace
from server.network import listen
from server.outputs import Outputs
from server.pipeline import Pipeline
from server.port_switch import PortSwitch
from server.solved import Solved
from server.websocket_protocol import uvicorn_settings

WAIT_S = 5.0


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.005)


@dataclass
class FakeCamera:
    id: str
    width: int
    height: int
    state: str = "streaming"
    message: str = ""
    fps: float = 60.0
    frames: int = 0
    drops: dict[str, int] = field(default_factory=lambda: {"late": 2})
    warnings: tuple[str, ...] = ()


class FakeSession:
    """Gives a frame set whenever asked, at most `rate_hz` a second; counts what is given and given back."""

    def __init__(self, rig: Rig, *, rate_hz: float = 100.0, sets: int | None = None) -> None:
        self.cameras = [FakeCamera(camera.id, camera.width, camera.height) for camera in rig]
        self.rate_hz = rate_hz
        self.left = sets
        self.paused = threading.Event()
        self.missing: set[str] = set()
        self.drops = {"unread": 1}
        self.error: Exception | None = None
        self.started = self.stopped = False
        self.given = 0
        self.idles = 0
        self.released: list[int] = []
        self._images = [
            np.full((camera.height, camera.width, 3), 40 + 20 * i, np.uint8) for i, camera in enumerate(rig)
        ]

    @property
    def finished(self) -> bool:
        return self.left == 0

    def start(self) -> None:
        self.started = True

    def stop(self, timeout_s: float = 5.0) -> None:  # noqa: ARG002
        self.stopped = True

    def states(self) -> list[FakeCamera]:
        return list(self.cameras)

    def next(self, timeout_s: float) -> FrameSet | None:
        if self.error is not None:
            raise self.error
        left = self.left
        if self.paused.is_set() or left == 0:
            threading.Event().wait(min(timeout_s, 0.01))
            self.idles += 1
            return None
        threading.Event().wait(1 / self.rate_hz)
        # A test may have ended it meanwhile: counting down from there would never end.
        if left is not None and self.left != 0:
            self.left = left - 1
        return self.frame_set()

    def pause(self) -> None:
        """Give no more, and wait until all that was given has been answered."""
        self.paused.set()
        idles = self.idles
        eventually(lambda: self.idles > idles + 1)

    def frame_set(self) -> FrameSet:
        now_ns = time.monotonic_ns()
        number = self.given
        self.given += 1
        released = threading.Event()

        def release() -> None:
            if not released.is_set():
                released.set()
                self.released.append(number)

        frames = tuple(
            None if camera.id in self.missing else Frame(camera.id, number, now_ns - 2_000_000, now_ns, image)
            for camera, image in zip(self.cameras, self._images, strict=True)
        )
        return FrameSet(number, frames, 1.25, release)


class FakeEngine:
    """Answers every frame set with the same hands."""

    card = EngineCard("fake-1", "detector", "none", "open-hand", "Says what it was told to say.")

    def __init__(self, hands: tuple[HandPose, ...]) -> None:
        self.hands = hands
        self.error: Exception | None = None
        self.rig_ids: list[str] = []
        self.resets = 0
        self.closed = False
        self.gate = threading.Event()
        self.gate.set()
        self._models = {side: HandModel.load(side=side) for side in ("left", "right")}

    def hand_model(self, side: Side) -> HandModel:
        return self._models[side]

    def process(self, frame_set: FrameSet, rig: Rig) -> tuple[HandPose, ...]:  # noqa: ARG002
        self.gate.wait(WAIT_S)
        if self.error is not None:
            raise self.error
        self.rig_ids.append(rig.id)
        return self.hands

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None:
        self.closed = True


def make_hand(rig: Rig, *, side: Side = "right", hand_id: int = 3, offset_m: float = 0.0) -> HandPose:
    rng = np.random.default_rng(hand_id)
    model = HandModel.load(side=side)
    pose, shape = rng.normal(0, 0.15, 48), rng.normal(0, 0.5, 10)
    shaped = model.with_shape(shape)
    translation = np.array([offset_m, 0.01, 0.02]) - shaped.rest_joints[0]
    posed = shaped.posed(pose, translation)
    root = rng.normal(0, 1, (21, 3, 3))
    hand = hand_of(posed, pose, translation, hand_id=hand_id, views=len(rig))
    errors_px = np.full(len(rig), 1.2)
    errors_px[-1] = np.nan
    return replace(
        hand,
        covariance_mm2=root @ root.transpose(0, 2, 1),
        reprojection_px=errors_px,
        keypoints_px=np.stack([camera.project(posed.joints) for camera in rig]),
    )


_ROTATION_OF_JOINT = np.array([0, 13, 14, 15, 15, 1, 2, 3, 3, 4, 5, 6, 6, 10, 11, 12, 12, 7, 8, 9, 9])


def hand_of(
    posed: PosedHand, pose: NDArray[np.float64], translation: NDArray[np.float64], *, hand_id: int = 3, views: int = 2
) -> HandPose:
    """A hand that is exactly where the model is posed, seen by all views."""
    return HandPose(
        id=hand_id,
        side=posed.shaped.model.side,
        confidence=0.97,
        joints_world=posed.joints,
        covariance_mm2=np.tile(np.eye(3), (21, 1, 1)),
        pose=pose,
        shape=posed.shaped.shape,
        translation=translation,
        orientations_xyzw=quaternion_from_matrix(posed.rotations)[_ROTATION_OF_JOINT],
        posed=posed,
        view_confidence=np.ones((views, 21)),
        view_weight=np.ones(views),
        reprojection_px=np.ones(views),
        keypoints_px=np.full((views, 21, 2), np.nan),
    )


@dataclass
class Running:
    """A service on a free port of the loopback, over fakes."""

    rig: Rig
    session: FakeSession
    engine: FakeEngine
    pipeline: Pipeline
    app: Any
    port: int
    leap_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stream_url(self, query: str = "") -> str:
        return f"ws://127.0.0.1:{self.port}/api/v1/stream?{query}"


@contextmanager
def serving(
    session: FakeSession,
    engine: FakeEngine,
    rig: Rig,
    access: Access | None = None,
    outputs: Outputs | None = None,
    models: ModelPlace | None = None,
) -> Iterator[Running]:
    """Serve in a thread, by the real web server with its real settings; Leap's port is there too."""
    pipeline = Pipeline(session, engine, rig)
    outputs = outputs or Outputs()
    app = create_app(pipeline, access, up=outputs.up, senders=outputs.open_senders(), send_timeout_s=1.0, models=models)
    leap = leap_app(app.state.parts.broadcaster, Access(), up=outputs.up, send_timeout_s=1.0)
    listeners = [listen("127.0.0.1", 0), listen("127.0.0.1", 0)]
    port, leap_port = (listener.getsockname()[1] for listener in listeners)
    both = PortSwitch(app, {leap_port: leap})
    config = uvicorn.Config(both, **uvicorn_settings(), log_level="warning", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": listeners}, daemon=True)
    pipeline.start()
    thread.start()
    eventually(lambda: server.started)
    try:
        yield Running(rig, session, engine, pipeline, app, port, leap_port)
    finally:
        server.should_exit = True
        thread.join(WAIT_S)
        pipeline.stop()
        assert not thread.is_alive()


@pytest.fixture(name="eventually")
def _eventually() -> Callable[[Callable[[], bool]], None]:
    return eventually


@pytest.fixture(name="hand_of")
def _hand_of() -> Callable[..., HandPose]:
    return hand_of


@pytest.fixture(name="serving")
def _serving() -> Callable[..., Any]:
    return serving


@pytest.fixture
def rig() -> Rig:
    return make_rig(3, seed=5, width=320, height=240)


@pytest.fixture
def hands(rig: Rig) -> tuple[HandPose, ...]:
    return (make_hand(rig), make_hand(rig, side="left", hand_id=4, offset_m=0.12))


@pytest.fixture
def session(rig: Rig) -> FakeSession:
    return FakeSession(rig)


@pytest.fixture
def make_session(rig: Rig) -> Callable[..., FakeSession]:
    return lambda **options: FakeSession(rig, **options)


@pytest.fixture
def engine(hands: tuple[HandPose, ...]) -> FakeEngine:
    return FakeEngine(hands)


@pytest.fixture
def solved(rig: Rig, session: FakeSession, hands: tuple[HandPose, ...]) -> Solved:
    return Solved(session.frame_set(), rig, hands, time.monotonic_ns(), 412, "fake-1")


@pytest.fixture
def running(rig: Rig, session: FakeSession, engine: FakeEngine) -> Iterator[Running]:
    with serving(session, engine, rig) as running:
        eventually(lambda: running.pipeline.latest is not None)
        yield running


@pytest.fixture
def client(running: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, timeout=WAIT_S) as http:
        yield http
