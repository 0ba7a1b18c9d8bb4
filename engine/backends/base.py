"""What runs an exported network: arrays in, arrays out, behind one protocol.

The names and shapes here are those of the ONNX file; `engine.network` says what is computed between them. Letters: B
hands, V views (1..8), S side of a crop, M hypotheses, K blocks, P past frames, D channels. All positions are metres in
the local frame of a step: the world's axes about an origin near the hand that the caller chose. Crop coordinates are in
[-1, 1] from edge to edge of the crop, so that one unit is S/2 crop pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineError
from engine.kernels.places import nodes_along
from engine.model_card import ModelCard

MAX_VIEWS: Final = 8
"""Views that one step takes at most."""

REMEDY: Final = "make one with `usthand export`"
"""What to do about a file that cannot be used."""

INPUT_NAMES: Final = ("crops", "projections", "view_mask", "noise", "state", "state_valid")
"""Inputs of the file, in its order; the fields of `NetworkInputs`."""

OUTPUT_NAMES: Final = (
    "joints",
    "mano_joints",
    "rotations",
    "shape",
    "translation",
    "vertices",
    "covariance_mm2",
    "keypoints",
    "view_confidence",
    "reprojection_px",
    "valid",
    "state_out",
    "state_valid_out",
)
"""Outputs of the file, in its order."""

READ_OUTPUTS: Final = tuple(name for name in OUTPUT_NAMES if name != "vertices")
"""What a runtime reads, in the order of `NetworkOutputs`; `HandModel` makes the mesh when asked."""

INPUT_RANKS: Final = dict(zip(INPUT_NAMES, (5, 4, 2, 5, 6, 2), strict=True))
"""Dimensions of each input; `crops` are uint8, all else is float32."""

_KINDS: Final[Mapping[str, type[np.generic]]] = {"crops": np.uint8, "mirrored": np.bool_}
_SIZES: Final = attrgetter("input_px", "hypotheses", "blocks", "past", "channels")
# Networks and numbers of hands and views that a process runs; what it forgets it makes again.
_SHAPES_KEPT: Final = 64

OUTPUT_RANKS: Final = dict(zip(OUTPUT_NAMES, (3, 3, 4, 2, 2, 3, 4, 4, 3, 3, 1, 6, 2), strict=True))
"""Dimensions of each output; all are float32."""


@dataclass(frozen=True, eq=False, slots=True)
class NetworkInputs:
    """One instant of B hands in V views.

    Args:
        crops: RGB `(B, V, S, S, 3)`; a left hand's are flipped, since the network is a right hand's.
        projections: Homogeneous points of the local frame to crop coordinates times depth `(B, V, 3, 4)`, metres.
        view_mask: 1, or 0 for a view that is missing `(B, V)`; what stands in its place must be finite.
        noise: Standard normal `(B, V, M, 21, 2)`: the hypotheses' latents.
        state: Keys and values of the past frames `(B, K, 2, P, 21, D)`, oldest first.
        state_valid: 1 where that past frame is real `(B, P)`.
    """

    crops: NDArray[np.uint8]
    projections: NDArray[np.float32]
    view_mask: NDArray[np.float32]
    noise: NDArray[np.float32]
    state: NDArray[np.float32]
    state_valid: NDArray[np.float32]


@dataclass(frozen=True, eq=False, slots=True)
class NetworkOutputs:
    """What the network makes of it.

    Args:
        joints: Refined joints `(B, 21, 3)`, canonical order, metres, local frame.
        mano_joints: Joints of the hand model in its pose `(B, 21, 3)`, metres, local frame.
        rotations: Each of MANO's joints relative to its parent `(B, 16, 3, 3)`; the root's in the local frame's axes.
        shape: MANO shape `(B, 10)`.
        translation: MANO translation `(B, 3)`, metres, local frame.
        covariance_mm2: Calibrated covariance of each joint `(B, 21, 3, 3)`, square millimetres.
        keypoints: Each view's own most likely joints `(B, V, 21, 2)`, crop coordinates.
        view_confidence: In [0, 1] `(B, V, 21)`; 0 where a view is masked.
        reprojection_px: Distance of `keypoints` to the projected `joints` `(B, V, 21)`, crop pixels; 0 where masked.
        valid: 1 where at least two views were usable `(B,)`.
        state: As in the inputs, one frame later.
        state_valid: As in the inputs, one frame later.
    """

    joints: NDArray[np.float32]
    mano_joints: NDArray[np.float32]
    rotations: NDArray[np.float32]
    shape: NDArray[np.float32]
    translation: NDArray[np.float32]
    covariance_mm2: NDArray[np.float32]
    keypoints: NDArray[np.float32]
    view_confidence: NDArray[np.float32]
    reprojection_px: NDArray[np.float32]
    valid: NDArray[np.float32]
    state: NDArray[np.float32]
    state_valid: NDArray[np.float32]


class NetworkRuntime(Protocol):
    """An exported network, ready to run. One thread calls it, one step after the other."""

    @property
    def card(self) -> ModelCard:
        """Which network it is."""

    @property
    def backend(self) -> str:
        """What executes it, as read back from the runtime, for people."""

    def run(self, inputs: NetworkInputs) -> NetworkOutputs:
        """Take one step.

        Raises:
            EngineError: If the inputs' shapes are not the network's, or the runtime fails.
        """

    def close(self) -> None:
        """Give back threads and memory."""


def expected_shapes(card: ModelCard) -> dict[str, tuple[int | None, ...]]:
    """Shape of each input of a network; None where the number of hands or views stands."""
    shapes = _free_shapes(*_SIZES(card))
    return {name: shapes[name] for name in INPUT_NAMES}


def _free_shapes(
    input_px: int, hypotheses: int, blocks: int, past: int, channels: int
) -> dict[str, tuple[int | None, ...]]:
    """Shape of each array that a step may have; None where the number of hands or views stands."""
    along = nodes_along(input_px)
    return {
        "crops": (None, None, input_px, input_px, 3),
        "projections": (None, None, 3, 4),
        "view_mask": (None, None),
        "noise": (None, None, hypotheses, 21, 2),
        "state": (None, blocks, 2, past, 21, channels),
        "state_valid": (None, past),
        "nodes": (None, None, along, along, 2),
        "mirrored": (None,),
    }


@lru_cache(_SHAPES_KEPT)
def _wanted(
    names: tuple[str, ...], mask: tuple[int, ...], sizes: tuple[int, ...]
) -> tuple[tuple[str, tuple[int, ...], np.dtype[np.generic]], ...]:
    """Name, shape and type of arrays, for so many hands and views."""
    shapes = _free_shapes(*sizes)
    return tuple(
        # The first axes that vary are hands, then views.
        (
            name,
            tuple(mask[axis] if size is None else size for axis, size in enumerate(shapes[name])),
            np.dtype(_KINDS.get(name, np.float32)),
        )
        for name in names
    )


def check_inputs(inputs: NetworkInputs, card: ModelCard) -> None:
    """Refuse inputs that are not those of a network.

    Raises:
        EngineError: With the first input that has another shape or type.
    """
    check_arrays(inputs, inputs.view_mask.shape, INPUT_NAMES, card)


def check_arrays(inputs: object, mask: tuple[int, ...], names: tuple[str, ...], card: ModelCard) -> None:
    """Refuse arrays that are not those of a network.

    Args:
        inputs: Has them as attributes.
        mask: Shape of `view_mask`: hands and views.
        names: Which, in the order in which they are looked at.
        card: The network's.

    Raises:
        EngineError: With the first array that has another shape or type.
    """
    if len(mask) != 2 or mask[0] < 1 or not 1 <= mask[1] <= MAX_VIEWS:
        raise EngineError(f"view_mask has shape {mask}; give one or more hands and 1..{MAX_VIEWS} views")
    for name, shape, kind in _wanted(names, mask, _SIZES(card)):
        array: NDArray[np.generic] = getattr(inputs, name)
        if array.shape != shape or array.dtype != kind:
            raise EngineError(
                f"{name} is {array.dtype} with shape {array.shape}; network {card.model_id} takes {kind} with {shape}"
            )


def read_model(path: Path) -> bytes:
    """Read a model file.

    Raises:
        EngineError: If it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise EngineError(f"{path}: no such file; {REMEDY}") from None
    except OSError as error:
        raise EngineError(f"{path}: cannot be read ({error.strerror}); {REMEDY}") from error
