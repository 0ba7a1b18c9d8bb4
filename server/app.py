"""The application: routes, stream and pages over a running pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI, WebSocket
from fastapi.staticfiles import StaticFiles
from prometheus_client import CollectorRegistry

from server.access import Access, AccessMiddleware
from server.broadcaster import Broadcaster
from server.calibration_service import CalibrationService
from server.metrics import LatencyHistogram, ServiceCollector
from server.parts import Parts
from server.pipeline import Pipeline
from server.previews import Previews
from server.routes import calibration, cameras, engine, hands, health, pages
from server.stream import SEND_TIMEOUT_S, Stream

API_PREFIX = "/api/v1"

_DESCRIPTION = (
    "Real-time hand capture. The stream of hands is a WebSocket at `/api/v1/stream?format=json|msgpack"
    "&dialect=mano|mediapipe&fields=joints,mano,vertices,covariance,stats&max_hz=`."
)


def create_app(pipeline: Pipeline, access: Access | None = None, *, send_timeout_s: float = SEND_TIMEOUT_S) -> FastAPI:
    """Build the application.

    Args:
        pipeline: What it shows; whoever started it stops it.
        access: Who may use it; no token by default.
        send_timeout_s: A stream client that takes nothing for so long is dropped.
    """
    broadcaster = Broadcaster(pipeline.engine.card.model_id)
    previews = Previews(pipeline)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ServiceCollector(pipeline, broadcaster))
    latency = LatencyHistogram(registry)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:  # noqa: ARG001 - Starlette's signature
        broadcaster.open(asyncio.get_running_loop())
        unsubscribe = [pipeline.subscribe(broadcaster.publish), pipeline.subscribe(latency.observe)]
        try:
            yield
        finally:
            for end in unsubscribe:
                end()
            broadcaster.close()
            previews.close()

    app = FastAPI(
        title="UST-Hand Live",
        version=version("usthand"),
        description=_DESCRIPTION,
        lifespan=lifespan,
        # The framework's own pages load scripts from elsewhere; `/docs` is ours.
        docs_url=None,
        redoc_url=None,
    )
    app.state.parts = Parts(pipeline, broadcaster, previews, CalibrationService(pipeline), registry)
    app.include_router(health.router)
    for router in (hands.router, cameras.router, calibration.router, engine.router):
        app.include_router(router, prefix=API_PREFIX)
    app.include_router(pages.router)
    stream = Stream(pipeline, broadcaster, send_timeout_s=send_timeout_s)

    @app.websocket(f"{API_PREFIX}/stream")
    async def serve_stream(socket: WebSocket) -> None:
        await stream.serve(socket)

    app.mount("/viewer", StaticFiles(directory=pages.VIEWER_FOLDER, check_dir=False), name="viewer")
    app.add_middleware(AccessMiddleware, access=access or Access())
    return app
