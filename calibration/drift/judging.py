"""Whether the hands say that one camera's place is wrong, and which camera's. Pure: evidence in, a finding out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.drift.config import DriftConfig
from calibration.drift.evidence import DELAY, NOISE_OF_PALM, PARAMETERS, Evidence
from calibration.drift.hypotheses import JOINTS_AS_ONE, Explanation, calmed, moved

_DELAY_PRIOR_S: Final = 0.1
# A misfit that is new must also be there when nothing is taken for usual: a wrong idea of the usual is no misfit.
_ALSO_PLAIN: Final = 0.6
# A third more misfit is as telling as moments that agree 0.9 instead of 0.8.
_COHERENCE_COUNTS: Final = 2.4


@dataclass(frozen=True, eq=False, slots=True)
class Finding:
    """What the hands say.

    Args:
        explanations: One a camera that was seen, the best first.
        misfit: How far the best one shifts joints, in multiples of what is worth a word and weighed by its coherence: 1
            and more is a misfit.
        blamed: Views that may be the cause: none, one, or those that cannot be told apart, the best first.
        delays_s: How late each view is against the mean of all `(V,)`.
    """

    explanations: tuple[Explanation, ...]
    misfit: float
    blamed: tuple[int, ...]
    delays_s: NDArray[np.float64]

    def of(self, view: int) -> Explanation | None:
        """The explanation by that view, if it was seen."""
        return next((explanation for explanation in self.explanations if explanation.view == view), None)


def delays_s(total: Evidence) -> NDArray[np.float64]:
    """Work out how late each view is `(V,)`, seconds, from all that was seen; 0 on the mean, for only that shows."""
    own = np.arange(total.views) * PARAMETERS + DELAY
    normal = total.normal[np.ix_(own, own)] / JOINTS_AS_ONE + np.eye(total.views) / _DELAY_PRIOR_S**2
    delays = np.asarray(np.linalg.solve(normal, total.gradient[own] / JOINTS_AS_ONE), dtype=np.float64)
    seen = total.joints > 0
    middle = float(delays[seen].mean()) if seen.any() else 0.0
    return np.where(seen, delays - middle, 0.0)


def judge_hands(moments: Sequence[Evidence], usual: Evidence | None, config: DriftConfig) -> Finding:
    """Look for the one camera whose place explains what does not fit.

    Args:
        moments: What was seen lately, a part a moment and hand; one at least.
        usual: What was seen before, while everything fitted; None while that is too little.
        config: When it is a misfit.
    """
    now = Evidence.total(moments)
    delays = delays_s(now if usual is None else Evidence.total((usual, now)))
    late = np.zeros(now.views * PARAMETERS)
    late[DELAY::PARAMETERS] = delays
    timely = calmed([moment.corrected(late) for moment in moments])
    seen = [view for view in range(now.views) if now.joints[view] > 0]
    plain = {view: moved(timely, view) for view in seen}
    found = plain
    if usual is not None:
        before = usual.corrected(late)
        found = {view: moved(timely, view, moved([before], view).correction) for view in seen}
    ranked = sorted(found.values(), key=lambda explanation: -explanation.gain)
    best = ranked[0]
    left = sum(moment.cost for moment in timely) - plain[best.view].gain
    rows = sum(moment.rows for moment in timely)
    noise = NOISE_OF_PALM * float(np.sqrt(max(left, 0.0) / max(rows, 1.0)))
    # Two views see only one of the two directions in which a picture may shift.
    visible = float(np.sqrt(min(1.0, (2 * len(seen) - 3) / len(seen))))
    worth_a_word = max(config.least_shift * visible, config.shift_in_noise * noise)
    if usual is None:
        worth_a_word *= config.without_usual
    misfit = min(best.shift_of_palm, plain[best.view].shift_of_palm / _ALSO_PLAIN) / worth_a_word
    misfit *= (best.coherence / config.coherence) ** _COHERENCE_COUNTS
    blamed: tuple[int, ...] = ()
    if misfit >= 1 and best.coherence >= config.coherence:
        near = tuple(explanation.view for explanation in ranked if config.lead * explanation.gain > best.gain)
        if len(near) == 1 or len(seen) == 2 or (len(near) < len(seen) and misfit >= config.clear_misfit):
            blamed = near if len(seen) > 2 else (best.view, ranked[1].view)
    return Finding(tuple(ranked), misfit, blamed, delays)
