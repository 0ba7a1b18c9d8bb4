"""What the drift monitor says of a camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

State = Literal["watching", "fits", "miscalibrated", "suspect", "out of step", "trusted"]
"""`watching`: too little was seen yet. `suspect`: one of two cameras is miscalibrated, and nothing tells which.
`trusted`: somebody said that the camera is right, whatever the monitor says."""

Cause = Literal["", "hands", "picture", "hands and picture", "calibration changed"]
"""What gave a camera away. `calibration changed`: the hands, and that its calibration alone was changed just before."""

BLAMED: Final = frozenset({"miscalibrated", "suspect"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """One camera.

    Args:
        camera_id: Which.
        state: How it is.
        cause: What gave it away; empty where nothing did.
        turned_deg: How far it turned against its calibration, degrees, as far as that is known.
        moved_mm: How far it moved, millimetres; only hands can tell.
        picture_turned_deg: How far its picture turned since the reference picture; None while that is not known.
        late_ms: How much older its pictures are than their stamps say, against the other cameras'; None while that is
            not known.
        message: The state in words, with what to do where something is wrong.
    """

    camera_id: str
    state: State = "watching"
    cause: Cause = ""
    turned_deg: float = 0.0
    moved_mm: float = 0.0
    picture_turned_deg: float | None = None
    late_ms: float | None = None
    message: str = ""

    @property
    def blamed(self) -> bool:
        """Whether its calibration is said to be wrong, alone or as one of two."""
        return self.state in BLAMED
