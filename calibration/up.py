"""The axis of a calibration's world that points up, which a calibration itself does not know."""

from __future__ import annotations

from typing import Final, Literal, get_args

Up = Literal["+x", "-x", "+y", "-y", "+z", "-z"]

UPS: Final[tuple[Up, ...]] = get_args(Up)


def read_up(text: str) -> Up | None:
    """Read an axis such as `-y`; None if it is none.

    In a query string a plus sign means a blank, so that an axis without a sign is the positive one.
    """
    name = text.strip()
    return next((up for up in UPS if name in (up, up.removeprefix("+"))), None)
