"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RigOption = Annotated[Path, typer.Option("--rig", help="The rig file: cameras and their calibration.")]
ModelOption = Annotated[str, typer.Option("--model", help="The engine's model; `detector` is the embedded default.")]
BackendOption = Annotated[
    str, typer.Option("--backend", help="What executes the model: auto, onnxruntime, tensorrt or torch.")
]
HandModelOption = Annotated[
    Path | None,
    typer.Option("--hand-model", help="A converted hand model (.npz); the embedded open hand by default."),
]
SmoothingOption = Annotated[bool, typer.Option("--smoothing", help="Smooth the joints (One-Euro filter).")]
PortOption = Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")]
HostOption = Annotated[str, typer.Option("--host", help="Address to bind to; others than loopback need a token.")]
InsecureOption = Annotated[
    bool, typer.Option("--insecure", help="Serve other machines without a token, and any web page.")
]
TokenFileOption = Annotated[
    Path | None, typer.Option("--token-file", help="File with the bearer token; else USTHAND_TOKEN, if set.")
]
