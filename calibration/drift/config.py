"""Settings of the drift monitor. The numbers were set on footage and projected hands by `benchmarks/drift.py`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DriftConfig:
    """When a camera is said not to fit.

    Args:
        moment_s: What is seen of one hand within so long counts as one piece of evidence.
        window_moments: How many moments with hands in view are judged.
        least_moments: ... and at least.
        least_usual: From so many older moments on it is known what is usual in this rig: the landmark network's habits.
        usual_moments: So many of them count.
        sample_s: A hand is looked at so often.
        least_shift: A smaller misfit is none, as a share of the palm's length in the picture.
        shift_in_noise: ... nor one below so many times what the views disagree by anyway.
        coherence: How alike the moments must ask for the same correction.
        lead: How much better than every other camera the blamed one must explain it, where views can tell.
        clear_misfit: From how large a misfit on cameras are suspected that cannot be told apart, of three or more.
        without_usual: How much clearer all of it must be while nothing is known to be usual.
        confirmations: Judgements in a row that must agree.
        cleared_after: Judgements in a row without a misfit that clear a camera that goes on being used.
        picture_turn_deg: From how far a turned picture says that the camera was moved.
        picture_doubt_deg: From how far a turned picture is worth a second look soon.
        picture_back_deg: Below it a camera counts as put back.
        picture_looks: Pictures in a row that must agree.
        picture_apart_deg: So much may their turns differ, and a tenth of the turn: a camera that was moved stands still
            again, and what moves in front of it does not.
        late_ms: From how late a camera is reported as out of step.
    """

    moment_s: float = 0.5
    window_moments: int = 6
    least_moments: int = 4
    least_usual: int = 4
    usual_moments: int = 60
    sample_s: float = 0.24
    least_shift: float = 0.03
    shift_in_noise: float = 0.7
    coherence: float = 0.8
    lead: float = 1.4
    clear_misfit: float = 2.0
    without_usual: float = 1.6
    confirmations: int = 3
    cleared_after: int = 10
    picture_turn_deg: float = 0.5
    picture_doubt_deg: float = 0.25
    picture_back_deg: float = 0.15
    picture_looks: int = 2
    picture_apart_deg: float = 0.3
    late_ms: float = 25.0
