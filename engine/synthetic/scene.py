"""Hands that move before cameras: what rendered cameras film, and the exact truth about it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from calibration import Camera
from engine.hand_model import SHAPE_SIZE, HandModel, PosedHand, ShapedHand, Side
from engine.synthetic.arm import Arm
from engine.synthetic.backdrop import Sensor, clutter
from engine.synthetic.contact import Balls, way_to
from engine.synthetic.lighting import Lights, Occlusion
from engine.synthetic.motion import HandMotion, MotionSample
from engine.synthetic.props import Prop
from engine.synthetic.rasterizer import Mesh, Raster, rasterize, vertex_normals
from engine.synthetic.skin import Paint, Sleeve, paint
from engine.synthetic.staging import SceneVariety, Staging

_KEPT_FRAMES: Final = 2
_ABSENT_SHARE: Final = 0.3
_ABSENT_DROP_M: Final = 0.75
_LEAVING_S: Final = 0.6
_MIN_ABSENT_EVERY_S: Final = 6.0
_SHAPE_SPREAD: Final = 0.8
_FIELD_MARGIN: Final = 1.3

# World-frame centres of the spaces that two hands move in, and how far each goes along each axis; metres.
_TWO_HANDS_X_M: Final = 0.125
_TWO_HANDS_REACH_M: Final = (0.02, 0.05, 0.045)
_TWO_HANDS_LEAN_DEG: Final = 12.0
# How far a second hand slides about the one that it touches.
_PARTNER_REACH_M: Final = (0.03, 0.03, 0.03)
# Of a held thing's surface, every so many points keep the second hand out.
_POINTS_STEP: Final = 5


@dataclass(frozen=True, eq=False)
class HandTruth:
    """Exactly where a rendered hand is.

    Args:
        side: Which hand.
        joints_world: The 21 joints `(21, 3)`, canonical order, metres.
        pose: MANO axis-angle `(48,)`, `flat_hand_mean`.
        shape: MANO shape `(10,)`.
        translation: MANO translation `(3,)`, metres.
        posed: The hand model in this pose.
    """

    side: Side
    joints_world: NDArray[np.float64]
    pose: NDArray[np.float64]
    shape: NDArray[np.float64]
    translation: NDArray[np.float64]
    posed: PosedHand

    @property
    def vertices_world(self) -> NDArray[np.float64]:
        """The mesh `(Nv, 3)`, metres, without the forearm. Computed on each call."""
        return self.posed.vertices()


@dataclass(frozen=True, eq=False)
class _Body:
    """All that stays the same about one hand of a scene."""

    shaped: ShapedHand
    motion: HandMotion
    arm: Arm | None
    paint: Paint
    occlusion: Occlusion
    bare: bool = False
    tracked: bool = True

    @property
    def faces(self) -> NDArray[np.int32]:
        return self.shaped.model.faces if self.arm is None else self.arm.faces


@dataclass(frozen=True, eq=False)
class _Surface:
    """One hand or thing in one frame, before any camera looks at it."""

    vertices_world: NDArray[np.float64]
    normals_world: NDArray[np.float64]
    diffuse_bgr: NDArray[np.float64]
    gloss: NDArray[np.float64]
    faces: NDArray[np.int32]


@dataclass(frozen=True)
class HandScene:
    """One or two hands on their forearms, moving through many poses; a scene for rendered cameras.

    What is drawn depends on the values below and the camera only, so any process may render any frame. Heavy state is
    built by the process that first renders, and is not pickled. The world frame is that of `engine.synthetic.rigs`.

    Args:
        hands: 1 or 2; two are a right and a left hand of one person.
        seed: Equal seeds give equal motion, person, light and backgrounds.
        rate_hz: Frames a second.
        side: Which hand it is, where there is one.
        absent_every_s: Where given, each hand leaves the cameras' view for a while once in so many seconds.
        pace: Factor on the speed of all motion.
        variety: What else there may be in the scene: things, a second hand that is no truth, other attitudes and
            lights; for one hand. None is a raised hand by itself.
        period_s: All motion begins again after so long, without a seam; None never does.
    """

    hands: Literal[1, 2] = 1
    seed: int = 7
    rate_hz: float = 30.0
    side: Side = "right"
    absent_every_s: float | None = None
    pace: float = 1.0
    variety: SceneVariety | None = None
    period_s: float | None = None

    def __post_init__(self) -> None:
        if self.hands not in (1, 2):
            raise ValueError(f"{self.hands} hands were asked for; a synthetic scene has 1 or 2")
        if self.variety is not None and self.hands != 1:
            raise ValueError(f"a scene of {self.hands} hands has no variety; use one hand, or leave variety out")
        if self.variety is not None and self.absent_every_s is not None:
            raise ValueError("a scene with variety has no hands that leave; leave absent_every_s or variety out")
        if not self.rate_hz > 0.0:
            raise ValueError(f"rate_hz is {self.rate_hz}; it must be above 0")
        if self.period_s is not None and not self.period_s > 0.0:
            raise ValueError(f"period_s is {self.period_s}; it must be above 0, or None")
        if self.period_s is not None and (self.variety is not None or self.absent_every_s is not None):
            raise ValueError("a scene with a period has no variety and no hands that leave; leave period_s out")
        if self.absent_every_s is not None and self.absent_every_s < _MIN_ABSENT_EVERY_S:
            raise ValueError(
                f"absent_every_s is {self.absent_every_s}; it must be at least {_MIN_ABSENT_EVERY_S:g}, so that a hand "
                "has the time to leave and to come back"
            )

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}

    def truth(self, index: int) -> tuple[HandTruth, ...]:
        """Say exactly where the hands are in frame `index`; a hand that is away is left out."""
        return tuple(truth for body, _, truth in self._present(index) if body.tracked)

    def render(self, camera: Camera, index: int) -> NDArray[np.uint8]:
        """Render frame `index` (time `index / rate_hz`) as the camera sees it: `(H, W, 3)` uint8, BGR."""
        background, sensor = self._view(camera)
        return sensor.expose(self.raster(camera, index).over(background), index)

    def raster(self, camera: Camera, index: int) -> Raster:
        """Draw frame `index` without background and noise: colour, coverage, depth, and which mesh.

        The first meshes are the hands of `truth`, in its order; what else is in the scene follows.
        """
        meshes = []
        limit = _field_radius(camera)
        for surface in self._surfaces(index):
            points_camera = camera.to_camera(surface.vertices_world)
            towards_eye = camera.center_world - surface.vertices_world
            towards_eye /= np.sqrt(np.einsum("ni,ni->n", towards_eye, towards_eye))[:, None]
            shine = self._lights.highlight(surface.normals_world, towards_eye, surface.gloss)
            color = _to_display(surface.diffuse_bgr + shine[:, None])
            pixels = camera.project_camera(points_camera)
            # Far outside the image a lens model folds back into it.
            radius = np.hypot(points_camera[:, 0], points_camera[:, 1])
            pixels[radius > limit * points_camera[:, 2]] = np.nan
            meshes.append(Mesh(pixels, points_camera[:, 2], surface.faces, color))
        return rasterize(meshes, camera.width, camera.height)

    def _present(self, index: int) -> list[tuple[_Body, MotionSample, HandTruth]]:
        time_s = index / self.rate_hz
        present: list[tuple[_Body, MotionSample, HandTruth]] = []
        for number, body in enumerate(self._bodies):
            sample = body.motion.at(time_s)
            drop = self._drop(time_s, number)
            if drop > 0.5 * _ABSENT_DROP_M:
                continue
            translation = sample.translation(body.shaped) - (0.0, 0.0, drop)
            if not body.tracked:
                translation = translation + self._way_to(present[0], body, sample)
            posed = body.shaped.posed(sample.pose, translation)
            truth = HandTruth(body.motion.side, posed.joints, sample.pose, body.shaped.shape, translation, posed)
            present.append((body, sample, truth))
        return present

    def _way_to(
        self, tracked: tuple[_Body, MotionSample, HandTruth], body: _Body, sample: MotionSample
    ) -> NDArray[np.float64]:
        """From where a second hand would be by itself to where it meets the tracked one `(3,)`, metres."""
        _, tracked_sample, truth = tracked
        still = Balls.of(truth.posed, tracked_sample.forearm_rotation)
        staging = self.staging
        if staging is None or staging.partner is None:
            raise ValueError("a hand is not tracked, but the scene has no second hand; this is a defect of HandScene")
        if staging.grip is not None:
            still = still.with_points(staging.grip.points(truth.posed)[::_POINTS_STEP])
        middle = truth.joints_world.mean(axis=0)
        moving = Balls.of(
            body.shaped.posed(sample.pose, sample.translation(body.shaped) + middle), sample.forearm_rotation
        )
        return np.asarray(middle + way_to(still, moving, staging.partner.from_world, staging.partner.gap_m))

    def _drop(self, time_s: float, number: int) -> float:
        """How far below its way a hand is, metres."""
        if self.absent_every_s is None:
            return 0.0
        # The second hand leaves half a period after the first.
        phase = (time_s / self.absent_every_s + 0.5 * number) % 1.0
        away_s = (phase - (1.0 - _ABSENT_SHARE)) * self.absent_every_s
        left_s = (1.0 - phase) * self.absent_every_s
        progress = float(np.clip(min(away_s, left_s) / _LEAVING_S, 0.0, 1.0))
        return _ABSENT_DROP_M * progress**2 * (3.0 - 2.0 * progress)

    def _surfaces(self, index: int) -> list[_Surface]:
        """Pose and light all that is in a frame; kept for the frame's other cameras."""
        kept: OrderedDict[int, list[_Surface]] = self._kept
        if index not in kept:
            present = self._present(index)
            kept[index] = [self._surface(body, sample, truth) for body, sample, truth in present]
            kept[index] += self._things([truth.posed for body, _, truth in present if body.tracked])
            while len(kept) > _KEPT_FRAMES:
                kept.popitem(last=False)
        return kept[index]

    def _surface(self, body: _Body, sample: MotionSample, truth: HandTruth) -> _Surface:
        hand = truth.posed.vertices()
        vertices = hand
        if body.arm is not None:
            vertices = np.concatenate(
                [hand, body.arm.vertices(truth.posed, hand, sample.forearm_rotation, bare=body.bare)]
            )
        normals = vertex_normals(vertices, body.faces)
        openness = np.ones(len(vertices))
        openness[: len(hand)] = body.occlusion.openness(truth.posed, hand, normals[: len(hand)])
        diffuse = self._lights.diffuse(body.paint.albedo_bgr, normals, openness)
        return _Surface(vertices, normals, diffuse, body.paint.gloss, body.faces)

    def _things(self, hands: list[PosedHand]) -> list[_Surface]:
        """What is held and what stands in the way."""
        things = []
        if self.staging is not None and self.staging.grip is not None:
            grip = self.staging.grip
            for posed in hands:
                things.append(self._thing(grip.prop, grip.points(posed), grip.placed(posed)[0]))
        if self.staging is not None and self.staging.obstacle is not None:
            things.append(self._thing(*self.staging.obstacle))
        return things

    def _thing(self, prop: Prop, vertices_world: NDArray[np.float64], R: NDArray[np.float64]) -> _Surface:
        normals = prop.normals @ R.T
        diffuse = self._lights.diffuse(prop.albedo_bgr, normals, np.ones(len(normals)))
        return _Surface(vertices_world, normals, diffuse, np.full(len(normals), prop.gloss), prop.faces)

    @cached_property
    def _kept(self) -> OrderedDict[int, list[_Surface]]:
        return OrderedDict()

    @cached_property
    def _lights(self) -> Lights:
        return Lights((self.seed, 0x116), varied=self.variety is not None)

    @cached_property
    def staging(self) -> Staging | None:
        """What this scene has of its variety; None without."""
        if self.variety is None:
            return None
        return Staging.draw(self.variety, self._shaped(self.side), (self.seed, 0x57A6))

    @cached_property
    def _views(self) -> dict[tuple[str, int, int], tuple[NDArray[np.uint8], Sensor]]:
        return {}

    def _view(self, camera: Camera) -> tuple[NDArray[np.uint8], Sensor]:
        """Background and sensor of a camera; its id names them."""
        key = (camera.id, camera.width, camera.height)
        if key not in self._views:
            seed = (self.seed, *camera.id.encode())
            self._views[key] = (
                clutter(camera.width, camera.height, (*seed, 1)),
                Sensor(camera.width, camera.height, (*seed, 2)),
            )
        return self._views[key]

    @cached_property
    def _bodies(self) -> tuple[_Body, ...]:
        staging = self.staging
        if staging is not None:
            tracked = HandMotion(
                self.seed, self.side, pace=self.pace, activity=staging.activity, attitude_world=staging.attitude_world
            )
            if staging.partner is None:
                return (self._body(tracked),)
            partner = HandMotion(
                self.seed,
                "left" if self.side == "right" else "right",
                reach_m=_PARTNER_REACH_M,
                pace=self.pace,
                activity=staging.partner.activity,
                attitude_world=staging.partner.attitude_world,
            )
            return self._body(tracked), self._body(partner, tracked=False)
        if self.hands == 2:
            centers: tuple[tuple[Side, float], ...] = (("right", _TWO_HANDS_X_M), ("left", -_TWO_HANDS_X_M))
            return tuple(
                self._body(
                    HandMotion(
                        self.seed,
                        side,
                        (x, 0.0, 0.0),
                        _TWO_HANDS_REACH_M,
                        _TWO_HANDS_LEAN_DEG,
                        self.pace,
                        period_s=self.period_s,
                    )
                )
                for side, x in centers
            )
        return (self._body(HandMotion(self.seed, self.side, pace=self.pace, period_s=self.period_s)),)

    def _body(self, motion: HandMotion, *, tracked: bool = True) -> _Body:
        shaped = self._shaped(motion.side)
        arm = _arm(motion.side)
        sleeve: Sleeve = "muted" if self.staging is None else self.staging.sleeve
        return _Body(
            shaped=shaped,
            motion=motion,
            arm=arm,
            # One person: both hands draw the same skin and cloth.
            paint=paint(shaped, arm, (self.seed, 0x5C), sleeve=sleeve),
            occlusion=Occlusion(shaped.model.skinning_weights),
            bare=sleeve == "bare",
            tracked=tracked,
        )

    def _shaped(self, side: Side) -> ShapedHand:
        shape = np.random.default_rng((self.seed, 0x5A, int(side == "left"))).normal(0.0, _SHAPE_SPREAD, SHAPE_SIZE)
        return _model(side).with_shape(np.clip(shape, -2.0, 2.0))


# Scenes of one process share what no person changes.
@lru_cache(maxsize=2)
def _model(side: Side) -> HandModel:
    return HandModel.load(side=side)


@lru_cache(maxsize=2)
def _arm(side: Side) -> Arm | None:
    return Arm.of(_model(side))


def _field_radius(camera: Camera) -> float:
    """Normalised radius that the image's corners show, and some more; infinite where the lens model has none."""
    corners = camera.unproject([(x, y) for x in (0, camera.width - 1) for y in (0, camera.height - 1)])
    radius = np.linalg.norm(corners, axis=1)
    return _FIELD_MARGIN * float(radius.max()) if np.isfinite(radius).all() else np.inf


def _to_display(radiance: NDArray[np.float64]) -> NDArray[np.float32]:
    """Roll off highlights and scale to 0..255."""
    soft = np.where(radiance > 0.8, 0.8 + 0.2 * np.tanh((radiance - 0.8) / 0.2), radiance)
    return np.asarray(255.0 * np.clip(soft, 0.0, 1.0), dtype=np.float32)
