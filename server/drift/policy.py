"""What follows from the drift monitor's verdicts: which cameras are left out, and which results are suspect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from calibration.drift import Verdict

Policy = Literal["mask", "strict", "watch", "off"]
POLICIES: Final[tuple[Policy, ...]] = get_args(Policy)

_NEEDED: Final = 2


def read_policy(text: str) -> Policy:
    """Read the name of a policy.

    Raises:
        ValueError: If there is none of that name.
    """
    for policy in POLICIES:
        if policy == text:
            return policy
    raise ValueError(f"--drift {text!r} is no policy; use one of {', '.join(POLICIES)}")


@dataclass(frozen=True, slots=True)
class Consequence:
    """What happens to cameras.

    Args:
        masked: Left out: the engine does not look through them.
        suspect: Used, though something is wrong with one of them: what is answered with them may be wrong.
    """

    masked: frozenset[str] = frozenset()
    suspect: frozenset[str] = frozenset()


def consequence(verdicts: Sequence[Verdict], policy: Policy) -> Consequence:
    """Decide what follows.

    `mask` leaves out cameras that are miscalibrated as long as two others remain: with fewer nothing at all could be
    answered, so they are used on and called suspect. `strict` leaves them out in any case: no hands rather than wrong
    ones. `watch` leaves out none. A suspicion that falls on two cameras alike never leaves one out.
    """
    blamed = frozenset(verdict.camera_id for verdict in verdicts if verdict.blamed)
    named = frozenset(verdict.camera_id for verdict in verdicts if verdict.state == "miscalibrated")
    enough = len(verdicts) - len(named) >= _NEEDED
    masked = named if policy == "strict" or (policy == "mask" and enough) else frozenset[str]()
    return Consequence(masked, blamed - masked)
