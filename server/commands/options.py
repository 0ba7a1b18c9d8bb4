"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

RigOption = Annotated[Path, typer.Option("--rig", help="The rig file: cameras and their calibration.")]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model", help="detector (default), detector-full, detector-lite, lite, or a file that `usthand export` wrote."
    ),
]
ModelsOption = Annotated[
    Path | None,
    typer.Option("--models", help="Folder of exported networks (.onnx) that may be chosen while the service runs."),
]
BackendOption = Annotated[
    str, typer.Option("--backend", help="What executes the model: auto, onnxruntime, tensorrt or torch.")
]
DeviceOption = Annotated[
    str, typer.Option("--device", help="Where torch computes: cpu, cuda, ...; auto takes a GPU if there is one.")
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
UpOption = Annotated[
    str | None,
    typer.Option(
        "--up",
        help="Axis of the calibration's world that is up, for clients that do not say: +x to -z; by default what the "
        "rig file says (up: +z), else -y.",
    ),
]
LeapOption = Annotated[bool, typer.Option("--leap", help="Speak Leap's WebSocket protocol too, on loopback.")]
LeapPortOption = Annotated[int, typer.Option("--leap-port", min=0, max=65535, help="Where; 0 takes a free one.")]
VmcOption = Annotated[
    str | None, typer.Option("--vmc", help="HOST:PORT of a VMC performer to send hands to, such as 127.0.0.1:39540.")
]
LiveLinkOption = Annotated[
    str | None,
    typer.Option("--livelink", help="HOST:PORT of Unreal's JSON LiveLink to send hands to, such as 127.0.0.1:54321."),
]
RecordingsOption = Annotated[
    Path, typer.Option("--recordings", help="Folder that recordings go to, each into one of its own.")
]
DEFAULT_RECORDINGS: Final = Path("recordings")
DriftOption = Annotated[
    str,
    typer.Option(
        "--drift",
        help="What to do about a camera that no longer fits its calibration: mask (default; left out where two others "
        "remain, else results are called suspect), strict (left out in any case), watch (say so only) or off.",
    ),
]
TokenFileOption = Annotated[
    Path | None, typer.Option("--token-file", help="File with the bearer token; else USTHAND_TOKEN, if set.")
]
