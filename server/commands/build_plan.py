"""`usthand build-plan`: from an exported network to plans that TensorRT runs on this machine's GPU."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from server.commands.packages import require_packages

if TYPE_CHECKING:
    from server.progress import Part

_MOST_VIEWS: Final = 8
_MOST_HANDS: Final = 4
_CAPABILITY_PARTS: Final = 2


def build_plan(
    model: Annotated[str, typer.Argument(help="lite, or a file that `usthand export` wrote.")],
    views: Annotated[
        str, typer.Option("--views", help="Numbers of cameras to plan for: 4, 2,4 or 1..8; a rig has one.")
    ] = "1..8",
    hands: Annotated[
        int, typer.Option("--hands", min=1, max=_MOST_HANDS, help="Plan for 1 to so many hands at a time.")
    ] = 2,
    precision: Annotated[
        str, typer.Option("--precision", help="Of the image trunk: fp16, bf16 or fp32. Geometry is always float32.")
    ] = "fp16",
    plan: Annotated[
        Path | None,
        typer.Option("--plan", help="Folder of plans; else USTHAND_PLANS, else the user's cache."),
    ] = None,
    plugin: Annotated[
        bool, typer.Option("--plugin/--no-plugin", help="Find nearest points by the project's own kernel.")
    ] = True,
    compute_capability: Annotated[
        str | None,
        typer.Option(
            "--compute-capability",
            help="Build for GPUs of this one, such as 8.9, instead of this machine's; with TensorRT-RTX only.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Build also what is there already.")] = False,
) -> None:
    """Build TensorRT plans of an exported network: one for each number of cameras and of hands.

    Needs an NVIDIA GPU and the extra `gpu`. Give the rig's number of cameras with --views: without it all 16 plans of
    1 to 8 are built, and each takes from seconds to minutes. Plans are kept, and one that fits is not built again;
    `usthand serve --model MODEL` uses them.

    For example:

        usthand build-plan lite --views 4

        usthand build-plan mine.onnx --views 2,4 --hands 1 --precision bf16
    """
    require_packages("build-plan", ("onnx",), extra="gpu")
    from engine.backends.plan_builder import BuildWatch, PlanSettings
    from engine.backends.plan_builder import build_plan as build
    from engine.backends.plan_graph import PRECISIONS
    from engine.backends.plans import plan_folder
    from engine.backends.tensorrt_api import find_library
    from engine.errors import EngineError
    from engine.factory import SHIPPED, network_path
    from server.progress import shown_parts

    path = network_path(model)
    if not path.is_file():
        raise EngineError(
            f"{path}: there is no such file; make one with `usthand export`, or give {' or '.join(SHIPPED)}"
        )
    chosen = next((known for known in PRECISIONS if known == precision), None)
    if chosen is None:
        raise EngineError(f"--precision {precision!r} is not known; use {', '.join(PRECISIONS)}")
    settings = PlanSettings(chosen, plugin, _read_capability(compute_capability))
    sizes = [(count, hand) for count in read_views(views) for hand in range(1, hands + 1)]
    folder = plan_folder(plan)
    library = find_library()
    with _ctrl_c() as pressed, shown_parts() as parts:
        percent = parts.part("percent", 100 * len(sizes))
        for number, (count, hand) in enumerate(sizes):
            title = f"{count} view{'s' * (count > 1)}, {hand} hand{'s' * (hand > 1)}"
            percent.reach(100 * number, title)
            watch = BuildWatch(partial(_tell, percent, number, title), pressed)
            built = build(path, folder, library, settings, views=count, hands=hand, force=force, watch=watch)
            took = f"built in {built.seconds:.1f} s" if built.seconds else "was there"
            typer.echo(f"{built.path}: {title}, {built.size_bytes / 1e6:.1f} MB, {took}")
            if pressed():
                break
    typer.echo(f"{len(sizes)} plans of {model} by {library} in {folder}")


def _tell(percent: Part, number: int, title: str, phase: str, share: float) -> None:
    """Say how far the build of a plan is."""
    percent.reach(round(100 * (number + share)), f"{title}: {phase}" if phase else title)


@contextmanager
def _ctrl_c() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed, to be asked meanwhile; it is raised at the end.

    Raised where it was pressed, it comes up in a call from TensorRT, which swallows it and builds on.
    """
    from engine.errors import EngineError

    pressed = threading.Event()
    before = signal.signal(signal.SIGINT, lambda _number, _frame: pressed.set())
    try:
        yield pressed.is_set
    except EngineError as error:
        if pressed.is_set():
            raise KeyboardInterrupt from error
        raise
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed.is_set():
        raise KeyboardInterrupt


def read_views(text: str) -> list[int]:
    """Read numbers of views: `4`, `2,4` or `1..8`.

    Raises:
        EngineError: If they are none, or outside of what the network takes.
    """
    from engine.errors import EngineError

    views: set[int] = set()
    try:
        for part in text.split(","):
            first, _, last = part.partition("..")
            views.update(range(int(first), int(last or first) + 1))
    except ValueError:
        views = set()
    if not views or min(views) < 1 or max(views) > _MOST_VIEWS:
        raise EngineError(f"--views {text!r} is no set of numbers from 1 to {_MOST_VIEWS}; give 4, 2,4 or 1..8")
    return sorted(views)


def _read_capability(text: str | None) -> tuple[int, int] | None:
    from engine.errors import EngineError

    if text is None:
        return None
    parts = text.split(".")
    if len(parts) != _CAPABILITY_PARTS or not all(part.isdecimal() for part in parts):
        raise EngineError(f"--compute-capability {text!r} is not like 8.9")
    return int(parts[0]), int(parts[1])
