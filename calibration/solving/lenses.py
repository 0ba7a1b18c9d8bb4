"""Each camera's lens from its own sights of the board: what is believed before, and which model holds out best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.lens import CameraModel
from calibration.observations import BoardView
from calibration.solving.bundle import Adjusted, Bundle, adjust
from calibration.solving.numbers import LensBelief
from calibration.solving.places import board_poses
from calibration.solving.projection import lens_of

LensChoice = Literal["auto", "brown-conrady-5", "brown-conrady-8", "fisheye"]
LensName = Literal["brown-conrady-5", "brown-conrady-8", "fisheye"]

MIN_VIEWS: Final = 6
"""Fewest sights that a lens is solved from: each gives 6 numbers of its own to a lens of 9 or more."""

_SHAPES: Final[dict[LensName, tuple[CameraModel, int]]] = {
    "brown-conrady-5": ("brown-conrady", 5),
    "brown-conrady-8": ("brown-conrady", 8),
    "fisheye": ("fisheye", 4),
}
# Sensors have square pixels to a fraction of a percent; lenses sit before their sensors' middles to a few percent of
# the width; coefficients beyond a third are those of a model that bends where no corner was seen. Where a board was
# seen all over the picture its corners say much more than this; where it was not, this is what there is.
_ASPECT_SIGMA: Final = 2e-3
_MIDDLE_SIGMA_WIDTHS: Final = 0.02
_DISTORTION_SIGMA: Final = 0.3
# A model with more numbers must hold out better by more than chance would have it.
_WORTH_IT: Final = 0.97
_FIRST_FOCALS: Final = (0.6, 1.0, 1.8)


@dataclass(frozen=True, eq=False, slots=True)
class Lens:
    """A camera's lens, solved.

    Args:
        camera: The camera; its place is the identity.
        name: The model.
        held_out_px: Rms over corners of held-out sights, each with its own pose; NaN where none was held out.
        tried: The same for every model that was tried.
        adjusted: The solve.
    """

    camera: Camera
    name: LensName
    held_out_px: float
    tried: dict[LensName, float]
    adjusted: Adjusted


def belief_of(camera: Camera) -> LensBelief:
    """Return what is believed of a lens before any picture; its focal lengths are unknown."""
    count = camera.distortion.size
    mean = np.concatenate(
        [[camera.width, camera.width, (camera.width - 1) / 2, (camera.height - 1) / 2], np.zeros(count)]
    )
    middle = _MIDDLE_SIGMA_WIDTHS * camera.width
    sigma = np.concatenate([[np.inf, np.inf, middle, middle], np.full(count, _DISTORTION_SIGMA)])
    return LensBelief(mean, sigma, _ASPECT_SIGMA)


def held_belief(camera: Camera) -> LensBelief:
    """Return the belief that holds a camera's lens as it is."""
    lens = lens_of(camera)
    return LensBelief(lens, np.zeros(lens.size))


def solve_lens(
    camera_id: str,
    size: tuple[int, int],
    train: Sequence[BoardView],
    held_out: Sequence[BoardView],
    points_board: NDArray[np.float64],
    choice: LensChoice = "auto",
) -> Lens:
    """Solve one camera's lens from its own sights.

    Args:
        camera_id: The camera.
        size: Its pictures' width and height.
        train: Its sights.
        held_out: Sights to judge by.
        points_board: The board.
        choice: The model; `auto` tries all and takes the simplest of those that hold out best.

    Raises:
        CalibrationError: If the sights do not suffice.
    """
    if len(train) < MIN_VIEWS:
        raise CalibrationError(
            {
                camera_id: [
                    f"{len(train)} sights of the board are too few for its lens; film at least {MIN_VIEWS}, better 30, "
                    "near and far, tilted, and in every corner of the picture"
                ]
            }
        )
    names = get_args(LensName) if choice == "auto" else (choice,)
    best: Lens | None = None
    tried: dict[LensName, float] = {}
    for name in names:
        adjusted = _solve_as(name, camera_id, size, train, points_board)
        camera = adjusted.bundle.cameras[0]
        tried[name] = rms_px(own_residuals_px(camera, held_out, points_board)) if held_out else float("nan")
        if best is None or tried[name] < _WORTH_IT * best.held_out_px:
            best = Lens(camera, name, tried[name], tried, adjusted)
    if best is None:
        raise CalibrationError({camera_id: [f"lens model {choice!r} is not known; use one of {get_args(LensChoice)}"]})
    return best


def _solve_as(
    name: LensName, camera_id: str, size: tuple[int, int], views: Sequence[BoardView], points_board: NDArray[np.float64]
) -> Adjusted:
    width, height = size
    model, count = _SHAPES[name]
    solved = []
    for factor in _FIRST_FOCALS:
        focal = factor * width
        K = np.array([[focal, 0.0, (width - 1) / 2], [0.0, focal, (height - 1) / 2], [0.0, 0.0, 1.0]])
        camera = Camera(camera_id, width, height, K, np.zeros(count), model=model)
        start = Bundle((camera,), board_poses((camera,), views, points_board))
        # A few steps from each start, on to the end from the best.
        solved.append(adjust(start, views, points_board, {camera_id: belief_of(camera)}, max_iterations=15))
    first = min(solved, key=lambda a: rms_px(a.residuals_px))
    return adjust(first.bundle, views, points_board, {camera_id: belief_of(first.bundle.cameras[0])})


def own_residuals_px(
    camera: Camera, views: Sequence[BoardView], points_board: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    """Return what is left `(N, 2)` of each sight of one camera when the board is posed by that sight alone."""
    if not views:
        return ()
    start = Bundle((camera,), board_poses((camera,), views, points_board))
    return adjust(start, views, points_board, {camera.id: held_belief(camera)}, robust_px=1e6).residuals_px


def rms_px(residuals_px: Sequence[NDArray[np.float64]]) -> float:
    """Return the root of the mean squared length over all corners; NaN without any."""
    if not residuals_px:
        return float("nan")
    lengths = np.sum(np.concatenate(list(residuals_px)) ** 2, axis=1)
    return float(np.sqrt(lengths.mean()))
