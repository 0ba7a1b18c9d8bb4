"""The application: routes, stream and pages over a running pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import Depends, FastAPI, WebSocket
from fastapi.exceptions import RequestValidationError
from prometheus_client import CollectorRegistry

from server.access import Access, AccessMiddleware
from server.broadcaster import Broadcaster
from server.calibration_service import CalibrationService
from server.conversation import SEND_TIMEOUT_S
from server.datagrams import DatagramSender
from server.dialects import DEFAULT_UP, DIALECTS, Up
from server.drift.policy import Policy
from server.drift.watch import DriftWatch
from server.interruption import InterruptionAnswer
from server.live_calibration.session import LiveCalibration
from server.messages import FIELDS
from server.metrics import LatencyHistogram, ServiceCollector
from server.models import ModelPlace, Models
from server.outputs import running_senders
from server.parts import Parts
from server.pipeline import Pipeline
from server.previews import Previews
from server.recording.metrics import RecordingCollector
from server.recording.recordings import Recordings
from server.rig_marks import HandCoverage
from server.routes import API_PREFIX, STREAM_PATH, calibration, cameras, engine, hands, health, pages, schema
from server.routes.live_calibration import router as live_calibration_router
from server.routes.recordings import router as recordings_router
from server.stream import Stream
from server.uploads import BodyLimit
from server.validation import DescribedApp, refuse_invalid, refuse_unknown_query

_DESCRIPTION = (
    f"Real-time hand capture. The stream of hands is a WebSocket at `{STREAM_PATH}?format=json|msgpack"
    f"&dialect={'|'.join(DIALECTS)}&up=&fields={','.join(FIELDS)}&predict_ms=&max_hz=`; its messages are described at "
    f"`{API_PREFIX}/schema/stream.json` and `{API_PREFIX}/schema/asyncapi.json`."
)


def create_app(
    pipeline: Pipeline,
    access: Access | None = None,
    *,
    up: Up = DEFAULT_UP,
    senders: Sequence[DatagramSender] = (),
    recordings: Recordings | None = None,
    send_timeout_s: float = SEND_TIMEOUT_S,
    drift: Policy = "mask",
    models: ModelPlace | None = None,
) -> FastAPI:
    """Build the application.

    Args:
        pipeline: What it shows; whoever started it stops it.
        access: Who may use it; no token by default.
        up: Which axis of the calibration's world points up, for clients that do not say.
        senders: Run beside it, on the same answers.
        recordings: What records; None offers no recording. Whoever made it closes it.
        send_timeout_s: A stream client that takes nothing for so long is dropped.
        drift: What is done about a camera that no longer fits its calibration.
        models: Which models may be chosen; None offers no change.
    """
    broadcaster = Broadcaster()
    previews = Previews(pipeline)
    registry = CollectorRegistry(auto_describe=False)
    watch = DriftWatch(pipeline, drift)
    registry.register(ServiceCollector(pipeline, broadcaster, watch))
    latency = LatencyHistogram(registry)
    service = CalibrationService(pipeline)
    live_calibration = LiveCalibration(pipeline, service)
    hand_coverage = HandCoverage()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:  # noqa: ARG001 - Starlette's signature
        broadcaster.open(asyncio.get_running_loop())
        watch.start()
        unsubscribe = [
            pipeline.subscribe(broadcaster.publish, end=True),
            pipeline.subscribe(latency.observe),
            pipeline.subscribe(hand_coverage.observe),
        ]
        try:
            async with running_senders(senders, broadcaster):
                yield
        finally:
            for end in unsubscribe:
                end()
            watch.stop()
            broadcaster.close()
            previews.close()
            await asyncio.to_thread(live_calibration.close)

    app = DescribedApp(
        title="UST-Hand Live",
        version=version("usthand"),
        description=_DESCRIPTION,
        lifespan=lifespan,
        dependencies=[Depends(refuse_unknown_query)],
        # The framework's own pages load scripts from elsewhere; `/docs` is ours.
        docs_url=None,
        redoc_url=None,
    )
    app.state.parts = Parts(
        pipeline, broadcaster, previews, service, Models(pipeline, models), watch, registry, hand_coverage, up
    )
    app.include_router(health.router)
    for router in (hands.router, cameras.router, calibration.router, engine.router, schema.router):
        app.include_router(router, prefix=API_PREFIX)
    app.state.live_calibration = live_calibration
    app.include_router(live_calibration_router, prefix=API_PREFIX)
    if recordings is not None:
        registry.register(RecordingCollector(recordings))
        app.state.recordings = recordings
        app.include_router(recordings_router, prefix=API_PREFIX)
    app.include_router(pages.router)
    stream = Stream(pipeline, broadcaster, up=up, send_timeout_s=send_timeout_s)

    @app.websocket(STREAM_PATH)
    async def serve_stream(socket: WebSocket) -> None:
        await stream.serve(socket)

    app.mount("/viewer", pages.PageFiles(directory=pages.VIEWER_FOLDER, check_dir=False), name="viewer")
    if pages.CLIENT_FOLDER.is_dir():
        app.mount("/client", pages.PageFiles(directory=pages.CLIENT_FOLDER, html=True), name="client")
    app.add_exception_handler(RequestValidationError, refuse_invalid)
    app.add_middleware(BodyLimit)
    app.add_middleware(AccessMiddleware, access=access or Access())
    app.add_middleware(InterruptionAnswer)
    return app
