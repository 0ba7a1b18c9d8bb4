"""The drift monitor: names the camera whose calibration no longer fits, from hands and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.drift.config import DriftConfig
from calibration.drift.evidence import DELAY, PARAMETERS, TURN, Evidence
from calibration.drift.hypotheses import JOINTS_AS_ONE, shift_of_palm
from calibration.drift.judging import Finding, delays_s, judge_hands
from calibration.drift.memory import HandMemory
from calibration.drift.pictures import ReferencePictures
from calibration.drift.sighting import Sighting
from calibration.drift.verdict import Cause, Verdict
from calibration.rig import Rig

# A picture is overruled by hands that would show its turn so many times over and show nothing.
_OVERRULES: Final = 2.0
_SHOWS_NOTHING: Final = 0.5
# What delays must explain before they are spoken of, in observations of one standard deviation.
_LATE_GAIN: Final = 12.0
_SAME_PLACE: Final = 1e-9


class DriftMonitor:
    """Watches one rig. One thread calls it.

    Args:
        rig: The calibration in use.
        config: When a camera is said not to fit.
    """

    def __init__(self, rig: Rig, config: DriftConfig | None = None) -> None:
        self.config = config or DriftConfig()
        self._rig = rig
        self._memory = HandMemory(rig, self.config)
        self._pictures = ReferencePictures(rig, self.config)
        self._verdicts = [Verdict(camera_id) for camera_id in rig.camera_ids]
        self._recalibrated: frozenset[int] = frozenset()
        self._agreeing: tuple[int, ...] = ()
        self._agreed = 0
        self._quiet = 0

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What is said of each camera, in the rig's order."""
        return tuple(self._verdicts)

    def see(self, sightings: Sequence[Sighting]) -> None:
        """Take in all hands of the newest frame set."""
        for sighting in sightings:
            self._memory.see(sighting)
        self._memory.forget_hands({sighting.hand_id for sighting in sightings})

    def look(self, view: int, image_bgr: NDArray[np.uint8]) -> bool:
        """Take in the newest picture of a camera; every few seconds is enough.

        Returns:
            Whether it says something new, so that another one should follow soon.
        """
        self._pictures.look(view, image_bgr)
        return self._pictures.in_doubt(view)

    def calibrated(self, rig: Rig) -> None:
        """Judge another calibration of the same cameras from now on: every verdict but trust is open again."""
        changed = [
            view
            for view, (old, new) in enumerate(zip(self._rig, rig, strict=True))
            if np.abs(old.T_camera_world - new.T_camera_world).max() > _SAME_PLACE
        ]
        self._recalibrated = frozenset(changed)
        self._rig = rig
        self._memory.recalibrate(rig, fits=self._fitting())
        self._pictures.restart(rig)
        self._verdicts = [Verdict(camera_id) for camera_id in rig.camera_ids]
        self._agreed = self._quiet = 0

    def trust(self, camera_id: str) -> Verdict:
        """Believe somebody who says that a camera is right: it is not judged until the calibration changes.

        Raises:
            KeyError: If the rig has no such camera.
        """
        view = self._rig.camera_ids.index(self._rig.camera(camera_id).id)
        self._pictures.forget(view)
        self._memory.forget_usual()
        self._agreed = self._quiet = 0
        self._verdicts = [
            Verdict(verdict.camera_id) if verdict.state == "suspect" else verdict for verdict in self._verdicts
        ]
        self._verdicts[view] = Verdict(
            camera_id, "trusted", message="taken for right by an operator until the calibration changes"
        )
        return self._verdicts[view]

    def distrust(self, camera_id: str) -> Verdict:
        """Judge a camera again that was trusted.

        Raises:
            KeyError: If the rig has no such camera.
        """
        view = self._rig.camera_ids.index(self._rig.camera(camera_id).id)
        if self._verdicts[view].state == "trusted":
            self._verdicts[view] = Verdict(camera_id)
        return self._verdicts[view]

    def judge(self) -> tuple[Verdict, ...]:
        """Judge what was seen; call it every half second or so."""
        self._memory.pass_on(fits=not any(verdict.blamed for verdict in self._verdicts))
        moments = self._memory.moments
        enough = self._memory.count >= self.config.least_moments and any(part.rows for part in moments)
        finding = judge_hands(moments, self._memory.usual, self.config) if enough else None
        self._confirm(finding)
        by_picture = {
            view
            for view in range(len(self._rig))
            if self._pictures.moved(view) and not self._hands_overrule(view, finding, moments)
        }
        if self._agreed >= self.config.confirmations and finding is not None:
            self._blame_by_hands(finding, by_picture)
        for view in sorted(by_picture):
            self._blame_by_picture(view, finding)
        self._clear()
        self._note_figures(finding, moments)
        return self.verdicts

    def _fitting(self) -> bool:
        """Whether enough was seen lately, and none of it speaks against the calibration."""
        moments = self._memory.moments
        if self._memory.count < self.config.least_moments or any(verdict.blamed for verdict in self._verdicts):
            return False
        return judge_hands(moments, self._memory.usual, self.config).misfit < _SHOWS_NOTHING

    def _confirm(self, finding: Finding | None) -> None:
        blamed: tuple[int, ...] = () if finding is None else tuple(sorted(finding.blamed))
        self._agreed = self._agreed + 1 if blamed and blamed == self._agreeing else int(bool(blamed))
        self._agreeing = blamed
        self._quiet = self._quiet + 1 if finding is not None and finding.misfit < _SHOWS_NOTHING else 0
        if self._quiet >= self.config.confirmations:
            # The new calibration has fitted: what happens from now on is not its fault.
            self._recalibrated = frozenset()

    def _blame_by_hands(self, finding: Finding, by_picture: set[int]) -> None:
        """Name the camera that the hands accuse, with the help of pictures and history where they accuse two."""
        accused, cause = self._accused(finding, by_picture)
        for view in accused:
            if self._verdicts[view].state in ("trusted", "miscalibrated"):
                continue
            explanation = finding.of(view)
            if explanation is None:
                continue
            self._verdicts[view] = Verdict(
                self._verdicts[view].camera_id,
                "miscalibrated" if len(accused) == 1 else "suspect",
                cause,
                turned_deg=explanation.turned_deg,
                moved_mm=explanation.moved_mm,
            )
            if len(accused) == 1:
                self._start_afresh()

    def _accused(self, finding: Finding, by_picture: set[int]) -> tuple[tuple[int, ...], Cause]:
        if len(finding.blamed) < 2:
            if by_picture >= set(finding.blamed):
                return finding.blamed, "hands and picture"
            fresh = self._recalibrated >= set(finding.blamed) and self._memory.fitted_before
            return finding.blamed, "calibration changed" if fresh else "hands"
        if len(seen := by_picture & set(finding.blamed)) == 1:
            return tuple(seen), "hands and picture"
        if len(changed := self._recalibrated & set(finding.blamed)) == 1 and self._memory.fitted_before:
            return tuple(changed), "calibration changed"
        first, second = finding.explanations[:2]
        if first.gain >= self.config.lead * second.gain:
            return (first.view,), "hands"
        # One whose picture stands still did not move, if the other's picture could not be compared.
        still = [view for view in finding.blamed if self._pictures.at_rest(view)]
        if len(still) == 1 and all(self._pictures.motion(v) is None for v in finding.blamed if v not in still):
            return tuple(view for view in finding.blamed if view not in still), "hands"
        return finding.blamed, "hands"

    def _blame_by_picture(self, view: int, finding: Finding | None) -> None:
        verdict = self._verdicts[view]
        motion = self._pictures.motion(view)
        if verdict.state in ("trusted", "miscalibrated") or motion is None:
            return
        cause: Cause = "picture" if finding is None or view not in finding.blamed else "hands and picture"
        self._verdicts[view] = Verdict(verdict.camera_id, "miscalibrated", cause, turned_deg=motion.turned_deg)
        # Whoever was suspected beside it is cleared: this one is the cause.
        self._verdicts = [Verdict(other.camera_id) if other.state == "suspect" else other for other in self._verdicts]
        self._start_afresh()

    def _start_afresh(self) -> None:
        """What was seen with the blamed camera is no evidence against the others."""
        self._memory.recalibrate(self._rig, fits=False)
        self._agreed = self._quiet = 0

    def _clear(self) -> None:
        """Take back what no longer holds: a camera that was put back, a suspicion that went away."""
        for view, verdict in enumerate(self._verdicts):
            put_back = verdict.cause in ("picture", "hands and picture") and self._pictures.at_rest(view)
            gone = verdict.blamed and self._quiet >= self.config.cleared_after and self._still_seen(view)
            if verdict.blamed and (put_back or gone):
                self._verdicts[view] = Verdict(verdict.camera_id)

    def _still_seen(self, view: int) -> bool:
        return any(part.joints[view] > 0 for part in self._memory.moments)

    def _hands_overrule(self, view: int, finding: Finding | None, moments: Sequence[Evidence]) -> bool:
        """Whether hands would show the turn that the picture shows, and show nothing: something else moves there."""
        motion = self._pictures.motion(view)
        if finding is None or motion is None or finding.misfit >= _SHOWS_NOTHING:
            return False
        turn = np.zeros(PARAMETERS)
        turn[TURN] = motion.turn_rad
        return shift_of_palm(moments, view, turn) >= _OVERRULES * self.config.least_shift / _SHOWS_NOTHING

    def _note_figures(self, finding: Finding | None, moments: Sequence[Evidence]) -> None:
        late = self._late_ms(moments) if finding is not None else None
        for view, verdict in enumerate(self._verdicts):
            motion = self._pictures.motion(view)
            noted = replace(verdict, picture_turned_deg=None if motion is None else motion.turned_deg)
            if late is not None and self._still_seen(view):
                noted = replace(noted, late_ms=float(late[view]))
                if not noted.blamed and noted.state != "trusted":
                    noted = replace(noted, state="out of step" if abs(late[view]) >= self.config.late_ms else "fits")
            self._verdicts[view] = replace(noted, message=_message(noted))

    def _late_ms(self, moments: Sequence[Evidence]) -> NDArray[np.float64]:
        """How much older each view's pictures are than their stamps say, against the other views' `(V,)`."""
        usual = self._memory.usual
        total = Evidence.total(moments if usual is None else (usual, *moments))
        delays = delays_s(total)
        own = np.arange(total.views) * PARAMETERS + DELAY
        gain = float(2 * delays @ total.gradient[own] - delays @ total.normal[np.ix_(own, own)] @ delays)
        if gain < _LATE_GAIN * JOINTS_AS_ONE:
            return np.zeros(total.views)
        seen = np.flatnonzero(total.joints > 0)
        late = np.zeros(total.views)
        for view in seen:
            late[view] = -1e3 * (delays[view] - np.median(delays[seen[seen != view]]))
        return late


def _message(verdict: Verdict) -> str:
    name = verdict.camera_id
    turned = f"turned by {verdict.turned_deg:.1f} degrees" if verdict.turned_deg >= 0.05 else "moved"
    repair = (
        f"fasten it, then upload a new calibration (usthand calibrate, or usthand calibrate refine --cameras {name} on "
        f"a recording); POST /api/v1/cameras/{name}/trust if it is right"
    )
    match verdict.state:
        case "miscalibrated" if verdict.cause == "calibration changed":
            return (
                "no longer fits since its calibration was changed; go back to the one before (POST "
                "/api/v1/calibration/rollback), or POST /api/v1/cameras/"
                f"{name}/trust if it is right"
            )
        case "miscalibrated":
            return f"no longer fits its calibration, it seems {turned} ({verdict.cause}); {repair}"
        case "suspect":
            return f"this or the other camera no longer fits its calibration, two views cannot tell which; {repair}"
        case "out of step" if verdict.late_ms is not None:
            older = "older" if verdict.late_ms > 0 else "younger"
            # Against the others, so that two cameras say the same of each other: one of them is to be put right.
            offset = (
                f", or add about {-verdict.late_ms:.0f} to its time_offset_ms in the rig file"
                if verdict.late_ms > 0
                else ""
            )
            return (
                f"its pictures are some {abs(verdict.late_ms):.0f} ms {older} than their stamps say, against the other "
                f"cameras; check trigger, exposure and buffers{offset}"
            )
        case "trusted":
            return verdict.message
    return ""
