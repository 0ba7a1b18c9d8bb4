"""What `demo` and `serve` have in common: run the service and tell people where it is."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rich.console import Console
from rich.markup import escape

from calibration import Rig
from capture.rig_config import RigConfig
from server.access import Access, read_token
from server.datagrams import Target
from server.dialects import DEFAULT_UP, UPS, Up, read_up
from server.drift.policy import read_policy
from server.models import ModelPlace
from server.network import url_for_others
from server.outputs import Outputs
from server.pipeline import FrameSource
from server.recording.recordings import RecordingPlace
from server.service import Service, ServiceSettings

LOG_VARIABLE: Final = "USTHAND_LOG"


def settings(
    host: str,
    port: int,
    *,
    token_file: Path | None,
    insecure: bool,
    outputs: Outputs | None = None,
    drift: str = "mask",
) -> ServiceSettings:
    """Decide where to listen and who may use the service.

    Raises:
        AccessError: If others could reach it unprotected.
        ValueError: If there is no such policy about drift.
    """
    policy = read_policy(drift)
    access = Access.for_bind(host, token=read_token(token_file), insecure=insecure)
    return ServiceSettings(host, port, access, outputs or Outputs(), policy)


def upright(config: RigConfig, up: str | None) -> RigConfig:
    """Return a rig file with the axis that was given on the command line, if one was, in place of its own.

    Raises:
        ValueError: If there is no such axis.
    """
    if up is None:
        return config
    axis = read_up(up)
    if axis is None:
        raise ValueError(f"--up {up!r} is no axis; use one of {', '.join(UPS)}")
    return config.model_copy(update={"up": axis})


def chosen_outputs(up: Up | None, *, leap_port: int | None, vmc: str | None, livelink: str | None) -> Outputs:
    """Read what else the service shall speak.

    Raises:
        AddressError: If a receiver is not named as HOST:PORT.
    """
    return Outputs(
        up=up or DEFAULT_UP,
        leap_port=leap_port,
        vmc=None if vmc is None else Target.parse(vmc, "--vmc"),
        livelink=None if livelink is None else Target.parse(livelink, "--livelink"),
    )


def run_service(
    chosen: ServiceSettings,
    *,
    title: str,
    rig: Rig,
    open_session: Callable[[], FrameSource],
    models: ModelPlace,
    recordings: RecordingPlace,
) -> None:
    """Serve until Ctrl-C."""
    level = os.environ.get(LOG_VARIABLE, "WARNING").upper()
    if level not in logging.getLevelNamesMapping():
        raise ValueError(f"{LOG_VARIABLE} {level!r} is no level; use debug, info, warning or error")
    logging.basicConfig(level=level, format="%(levelname)s %(message)s")
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    suffix = "?token=..." if chosen.access.token is not None else ""

    def announce(url: str) -> None:
        # Names, paths and IPv6 addresses may hold brackets, which are no styles.
        viewer, api = escape(f"{url}{suffix}"), escape(f"{url}docs")
        console.print(f"{escape(title)}\nViewer: [bold]{viewer}[/bold]   API: {api}   Ctrl-C stops it.")
        if (others := url_for_others(chosen.host, urlsplit(url).port or 0)) is not None:
            console.print(escape(f"In this machine's network: {others}{suffix}"))
        for line in _also(service, chosen.outputs):
            console.print(escape(line))

    def open_announced() -> FrameSource:
        console.print(f"Starting {len(rig)} cameras ...")
        return open_session()

    service = Service(
        chosen,
        open_session=open_announced,
        open_engine=models.open_start,
        rig=rig,
        announce=announce,
        recordings=recordings,
        models=models,
    )
    service.run()


def _also(service: Service, outputs: Outputs) -> Iterator[str]:
    """Say what else is spoken, a line each."""
    if service.leap_address is not None:
        host, port = service.leap_address
        yield f"Leap: ws://{host}:{port}/v6.json"
    for name, target in (("VMC", outputs.vmc), ("LiveLink", outputs.livelink)):
        if target is not None:
            yield f"{name}: to {target.host}:{target.port} by UDP"
