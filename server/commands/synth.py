"""`usthand synth`: a rendered sequence with its calibration and the exact truth."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, cast

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    import cv2

    from calibration import Camera, Rig
    from engine.synthetic.scene import HandScene, HandTruth

_QUALITY: Final = 95
_MAX_SKEW_MS: Final = 8
_MODEL_ID: Final = "synthetic-truth"
# Which of MANO's rotations each canonical joint has; a tip has its last bone's.
_ROTATION_OF_JOINT: Final = (0, 13, 14, 15, 15, 1, 2, 3, 3, 4, 5, 6, 6, 10, 11, 12, 12, 7, 8, 9, 9)


def synth(
    out: Annotated[Path, typer.Option("--out", help="Where to write; a folder that is empty or not there yet.")],
    views: Annotated[int, typer.Option("--views", min=1, max=8, help="Cameras.")] = 4,
    frames: Annotated[int, typer.Option("--frames", min=1, help="Frames of each camera.")] = 90,
    hands: Annotated[int, typer.Option("--hands", min=1, max=2, help="1 is a right hand, 2 a right and a left.")] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Equal seeds give equal sequences.")] = 7,
    rate_hz: Annotated[float, typer.Option("--rate-hz", min=1.0, max=240.0, help="Frames a second.")] = 30.0,
    width: Annotated[int, typer.Option("--width", min=64, max=4096, help="Image width in pixels.")] = 640,
    height: Annotated[int, typer.Option("--height", min=64, max=4096, help="Image height in pixels.")] = 480,
) -> None:
    """Render moving hands with calibrated cameras: videos, `rig.yaml`, `calibration.json` and `truth.jsonl`.

    Each line of the truth is the `hands` message of the stream with the exact joints of one frame. The rig file says
    `loop: true`: served or recorded live, the sequence begins again at its end; `usthand run` reads it once.

    For example:

        usthand synth --views 4 --frames 90 --hands 1 --seed 7 --out sequence
    """
    # Imported here so that `usthand --help` need not load the engine.
    from engine.synthetic.rigs import make_rig
    from engine.synthetic.scene import HandScene
    from server.progress import shown_progress

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is there already and not an empty folder; give another --out, or remove it first")
    out.mkdir(parents=True, exist_ok=True)
    rig = make_rig(views, seed, width, height)
    scene = HandScene(hands=cast(Literal[1, 2], hands), seed=seed, rate_hz=rate_hz)
    with shown_progress(frames) as advance:
        write_sequence(scene, rig, frames, out, advance)
    typer.echo(f"{out}: {frames} frames of {views} cameras", err=True)


def write_sequence(
    scene: HandScene, rig: Rig, frames: int, out: Path, advance: Callable[[str], None] = lambda _: None
) -> None:
    """Render a scene to a folder; `rig.yaml`, which makes it usable, is written last.

    Args:
        scene: What to render.
        rig: The cameras.
        frames: How many frames.
        out: An existing folder.
        advance: Told about each frame.
    """
    import yaml

    from calibration.files import save_calibration
    from server.commands.sources import SCENE_UP

    names = {camera.id: f"{camera.id}.avi" for camera in rig}
    with ExitStack() as stack:
        truth = stack.enter_context((out / "truth.jsonl").open("w", encoding="utf-8"))
        writers = []
        for camera in rig:
            writer = _open_writer(out / names[camera.id], camera, scene.rate_hz)
            stack.callback(writer.release)
            writers.append(writer)
        for index in range(frames):
            for camera, writer in zip(rig, writers, strict=True):
                writer.write(scene.render(camera, index))
            truth.write(json.dumps(truth_message(scene, rig, index), separators=(",", ":"), allow_nan=False) + "\n")
            advance("")
    save_calibration(rig, out / "calibration.json", source=f"usthand synth, seed {scene.seed}")
    content = {
        "name": rig.name,
        "max_skew_ms": _MAX_SKEW_MS,
        "up": SCENE_UP,
        "cameras": [{"id": i, "source": {"type": "file", "path": names[i], "loop": True}} for i in rig.camera_ids],
        "calibration": "calibration.json",
    }
    (out / "rig.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def truth_message(scene: HandScene, rig: Rig, index: int) -> dict[str, Any]:
    """Build the `hands` message of frame `index` with the exact joints; ids are 0 for a right hand, 1 for a left."""
    stamp_ns = round(index / scene.rate_hz * 1e9)
    return {
        "type": "hands",
        "v": 1,
        "seq": index,
        "frame_set": {"id": index, "skew_ms": 0.0, "views": list(rig.camera_ids)},
        "stamps_ns": dict.fromkeys(("exposure", "received", "solved", "sent"), stamp_ns),
        "calibration_id": rig.id,
        "model_id": _MODEL_ID,
        "hands": [_hand_map(hand) for hand in scene.truth(index)],
    }


def _hand_map(hand: HandTruth) -> dict[str, Any]:
    from engine.hand_model.rotations import quaternion_from_matrix

    return {
        "id": 0 if hand.side == "right" else 1,
        "side": hand.side,
        "confidence": 1.0,
        "joints": hand.joints_world.tolist(),
        "orientations": quaternion_from_matrix(hand.posed.rotations)[list(_ROTATION_OF_JOINT)].tolist(),
        "mano": {"pose": hand.pose.tolist(), "shape": hand.shape.tolist(), "translation": hand.translation.tolist()},
    }


def _open_writer(path: Path, camera: Camera, rate_hz: float) -> cv2.VideoWriter:
    import cv2

    # OpenCV's own writer: motion JPEG needs no codec library.
    fourcc = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), cv2.CAP_OPENCV_MJPEG, fourcc, rate_hz, (camera.width, camera.height))
    if not writer.isOpened():
        raise OSError(f"{path}: cannot be written as a video of {camera.width}x{camera.height}; check space and rights")
    writer.set(cv2.VIDEOWRITER_PROP_QUALITY, _QUALITY)
    return writer
