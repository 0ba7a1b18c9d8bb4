"""What hands do: which hand shapes follow each other, how fast, and how much the arm moves meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.synthetic.keyposes import KEYPOSES

Shape = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Activity:
    """One way of moving.

    Args:
        name: What it is called.
        shapes: Hand shapes `(21,)`, degrees.
        key_s: Mean time between two of them, seconds.
        in_order: They come one after the other; else at random.
        sway: Share of the arm's and the wrist's full range that is used.
        play: Share of the fingers' usual chance: how loosely the shapes are kept.
    """

    name: str
    shapes: tuple[Shape, ...]
    key_s: float = 1.1
    in_order: bool = False
    sway: float = 1.0
    play: float = 1.0


def _named(*names: str) -> tuple[Shape, ...]:
    return tuple(KEYPOSES[name] for name in names)


def _typing() -> tuple[Shape, ...]:
    """Bent fingers over keys, of which one at a time goes down."""
    rest = KEYPOSES["relaxed"] + np.array([0.0, 4.0, *(0.0,) * 3, *(0.0, 12.0, 6.0, 1.0) * 4])
    shapes = []
    for finger in range(5):
        pressed = rest.copy()
        first = 0 if finger == 0 else 5 + 4 * (finger - 1)
        if finger == 0:
            pressed[first + 1] -= 16.0
        else:
            pressed[first : first + 2] += (20.0, 8.0)
        shapes += [rest, pressed]
    return tuple(shapes)


# Open hands come twice as often as each other shape.
FREE: Final = Activity("free", _named(*KEYPOSES, "flat", "open", "spread", "relaxed"))
"""Any hand shape after any other; what the demo shows."""

ACTIVITIES: Final = (
    FREE,
    Activity("grasping", _named("open", "grasp", "fist", "half", "grasp", "relaxed", "claw"), 0.9),
    Activity("pinching", _named("pinch", "ok", "open", "pinch", "relaxed", "ok"), 0.8),
    Activity("counting", _named("fist", "point", "two", "three", "four", "spread"), 0.8, in_order=True),
    Activity("signing", _named(*(name for name in KEYPOSES if name not in ("half", "bent"))), 0.45),
    Activity("typing", _typing(), 0.22, sway=0.25),
)
"""Ways to move without anything in the hand."""
