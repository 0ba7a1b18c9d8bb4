"""What the hands showed lately, moment by moment, and what is usual."""

from __future__ import annotations

from calibration.drift.config import DriftConfig
from calibration.drift.evidence import Evidence, gather, velocities_px
from calibration.drift.sighting import Sighting
from calibration.rig import Rig


class HandMemory:
    """Turns sightings into evidence, sums it up by moments, and lets old moments become what is usual.

    Args:
        rig: The calibration that is judged.
        config: How much is kept.
    """

    def __init__(self, rig: Rig, config: DriftConfig) -> None:
        self._rig = rig
        self._config = config
        self._recent: dict[int, list[Sighting]] = {}
        self._sampled_s: dict[int, float] = {}
        self._moments: dict[int, dict[int, Evidence]] = {}
        self._usual: Evidence | None = None
        self._usual_count = 0.0

    @property
    def moments(self) -> tuple[Evidence, ...]:
        """The evidence of the window, a part a hand and moment."""
        return tuple(part for hands in self._moments.values() for part in hands.values())

    @property
    def count(self) -> int:
        """Moments in the window."""
        return len(self._moments)

    @property
    def usual(self) -> Evidence | None:
        """What was seen before the window, while everything fitted; None while that is too little."""
        return self._usual if self._usual_count >= self._config.least_usual else None

    @property
    def fitted_before(self) -> bool:
        """Whether enough was seen, before the window, that fitted."""
        return self._usual_count >= self._config.least_usual

    def see(self, sighting: Sighting) -> None:
        """Take in a hand of the newest frame set."""
        recent = self._recent.setdefault(sighting.hand_id, [])
        recent.append(sighting)
        if len(recent) < 3:
            return
        before, middle, after = recent[-3:]
        del recent[:-2]
        now_s = middle.time_s
        if not now_s - self._sampled_s.get(middle.hand_id, -1e9) >= self._config.sample_s:
            return
        self._sampled_s[middle.hand_id] = now_s
        evidence = gather(self._rig, middle, velocities_px(before, after))
        if evidence is not None:
            hands = self._moments.setdefault(int(now_s / self._config.moment_s), {})
            held = hands.get(middle.hand_id)
            hands[middle.hand_id] = evidence if held is None else Evidence.total((held, evidence))

    def forget_hands(self, kept: set[int]) -> None:
        """Drop the traces of hands that are followed no more."""
        for hand_id in set(self._recent) - kept:
            del self._recent[hand_id]
            self._sampled_s.pop(hand_id, None)

    def pass_on(self, *, fits: bool) -> None:
        """Let moments older than the window go: into what is usual, as long as everything fits."""
        while len(self._moments) > self._config.window_moments:
            oldest = self._moments.pop(min(self._moments))
            if fits and oldest:
                self._learn(oldest)

    def recalibrate(self, rig: Rig, *, fits: bool) -> None:
        """Judge this calibration from now on, by new moments.

        What is usual of the landmark network stays; the window joins it if it fitted the calibration until now.
        """
        if fits:
            for hands in self._moments.values():
                self._learn(hands)
        self._rig = rig
        self._moments.clear()

    def forget_usual(self) -> None:
        """Start anew, as if nothing had ever been seen."""
        self._usual, self._usual_count = None, 0.0
        self._moments.clear()

    def _learn(self, hands: dict[int, Evidence]) -> None:
        new = Evidence.total(hands.values())
        kept = min(1.0, self._config.usual_moments / (self._usual_count + 1))
        self._usual = new if self._usual is None else Evidence.total((self._usual.scaled(kept), new))
        self._usual_count = self._usual_count * kept + 1
