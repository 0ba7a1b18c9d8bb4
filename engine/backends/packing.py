"""What goes to a GPU and comes back in one piece each: where everything lies in it.

A copy costs microseconds whatever its size, so a step has one each way. Going up, all arrays of a step lie one after
the other, at places that depend on its hands and views alone; behind them is room for pixels, which are fetched. Coming
back, the answers lie one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.backends.base import READ_OUTPUTS, NetworkOutputs, expected_shapes
from engine.kernels.places import PLACE, nodes_along, rows_room
from engine.model_card import ModelCard

ALIGNMENT: Final = 256
"""Bytes; whatever a library wants of an address that it reads or writes, it is no more."""

MOST_SCALE: Final = 2.5
"""A rectangle of picture has at most the pixels of a crop whose side is so many times the crop's."""

_JOINTS: Final = 21
_ROTATIONS: Final = 16
_SHAPE: Final = 10


@dataclass(frozen=True, slots=True)
class Section:
    """An array in a buffer.

    Args:
        offset: Its first byte.
        shape: Its shape.
        dtype: Type of its elements.
    """

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def of(self, buffer: NDArray[np.uint8]) -> NDArray[Any]:
        """The array, in place, in a buffer of bytes."""
        return buffer[self.offset : self.offset + self.size].view(self.dtype).reshape(self.shape)


@dataclass(frozen=True, slots=True)
class Packing:
    """Arrays one after the other.

    Args:
        sections: Them, by name.
        size: Bytes of all, a multiple of `ALIGNMENT`.
        record: All of them as one element, whose fields they are.
    """

    sections: Mapping[str, Section]
    size: int
    record: np.dtype[np.void]

    def of(self, buffer: NDArray[np.uint8]) -> NDArray[np.void]:
        """All arrays, in place, in a buffer of bytes: `[name]` is the array of that name."""
        return np.ndarray((), self.record, buffer)


@dataclass(frozen=True, slots=True)
class Upload:
    """What goes up for a step of some hands in some views.

    Args:
        arrays: `places` `(B V)`, `nodes`, `projections`, `view_mask`, `noise`, `state`, `state_valid`.
        crop_capacity: Bytes that the pixels of one crop may take at most, with what is left free between them.
        size: Bytes of all when every crop takes its most. The pixels begin at `arrays.size`, on the host, where they
            are those that the GPU cannot read elsewhere, and on the GPU.
    """

    arrays: Packing
    crop_capacity: int
    size: int


def pack(shapes: Mapping[str, tuple[int, ...]], dtypes: Mapping[str, np.dtype[Any]] | None = None) -> Packing:
    """Lay arrays one after the other, each at a multiple of `ALIGNMENT`.

    Args:
        shapes: Their shapes, by name.
        dtypes: Their types; float32 for those that it does not name.
    """
    sections: dict[str, Section] = {}
    end = 0
    for name, shape in shapes.items():
        section = Section(end, shape, np.dtype((dtypes or {}).get(name, np.float32)))
        sections[name] = section
        end += aligned(section.size)
    record = np.dtype(
        {
            "names": list(sections),
            "formats": [(section.dtype, section.shape) for section in sections.values()],
            "offsets": [section.offset for section in sections.values()],
            "itemsize": end,
        }
    )
    return Packing(sections, end, record)


def aligned(size: int) -> int:
    """The next multiple of `ALIGNMENT`."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def upload_packing(card: ModelCard, hands: int, views: int) -> Upload:
    """Lay out what goes up for a step of a network."""
    along = nodes_along(card.input_px)
    shapes: dict[str, tuple[int, ...]] = {"places": (hands * views,), "nodes": (hands, views, along, along, 2)}
    for name, free in expected_shapes(card).items():
        if name != "crops":
            shapes[name] = tuple((hands, views)[axis] if size is None else size for axis, size in enumerate(free))
    arrays = pack(shapes, {"places": PLACE})
    side = int(MOST_SCALE * card.input_px)
    capacity = aligned(rows_room(side, 3 * side))
    return Upload(arrays, capacity, arrays.size + hands * views * capacity)


def result_packing(card: ModelCard, hands: int, views: int) -> Packing:
    """Lay out the answer of a step: `READ_OUTPUTS` in their order, all float32."""
    state = (hands, card.blocks, 2, card.past, _JOINTS, card.channels)
    shapes = {
        "joints": (hands, _JOINTS, 3),
        "mano_joints": (hands, _JOINTS, 3),
        "rotations": (hands, _ROTATIONS, 3, 3),
        "shape": (hands, _SHAPE),
        "translation": (hands, 3),
        "covariance_mm2": (hands, _JOINTS, 3, 3),
        "keypoints": (hands, views, _JOINTS, 2),
        "view_confidence": (hands, views, _JOINTS),
        "reprojection_px": (hands, views, _JOINTS),
        "valid": (hands,),
        "state_out": state,
        "state_valid_out": (hands, card.past),
    }
    return pack({name: shapes[name] for name in READ_OUTPUTS})


def unpack_result(buffer: NDArray[np.uint8], packing: Packing) -> NetworkOutputs:
    """Copy the answers out of a buffer, which the next step may then overwrite."""
    answers = packing.of(buffer[: packing.size].copy())
    return NetworkOutputs(*[answers[name] for name in READ_OUTPUTS])
