"""What `demo` and `serve` have in common: run the service and tell people where it is."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from calibration import Rig
from engine.types import HandEngine
from server.access import Access, read_token
from server.pipeline import FrameSource
from server.service import Service, ServiceSettings


def settings(host: str, port: int, *, token_file: Path | None, insecure: bool) -> ServiceSettings:
    """Decide where to listen and who may use the service.

    Raises:
        AccessError: If others could reach it unprotected.
    """
    access = Access.for_bind(host, token=read_token(token_file), insecure=insecure)
    return ServiceSettings(host, port, access)


def run_service(
    chosen: ServiceSettings,
    *,
    title: str,
    rig: Rig,
    open_session: Callable[[], FrameSource],
    open_engine: Callable[[], HandEngine],
) -> None:
    """Serve until Ctrl-C."""
    logging.basicConfig(level=os.environ.get("USTHAND_LOG", "WARNING").upper(), format="%(levelname)s %(message)s")
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    suffix = "?token=..." if chosen.access.token is not None else ""

    def announce(url: str) -> None:
        console.print(f"{title}\nViewer: [bold]{url}{suffix}[/bold]   API: {url}docs   Ctrl-C stops it.")

    def open_announced() -> FrameSource:
        console.print(f"Starting {len(rig)} cameras ...")
        return open_session()

    Service(chosen, open_session=open_announced, open_engine=open_engine, rig=rig, announce=announce).run()
