"""Runtimes that cut the crops out of the pictures themselves, where the network runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from engine.backends.base import (
    INPUT_NAMES,
    NetworkInputs,
    NetworkOutputs,
    NetworkRuntime,
    check_arrays,
    check_inputs,
)
from engine.errors import EngineError
from engine.model_card import ModelCard

SLOTS: Final = 2
"""Steps that may be under way at once, each with buffers, a stream and a graph of its own."""

_ARRAYS: Final = (*INPUT_NAMES[1:], "nodes", "mirrored")
_PIXEL: Final = np.dtype(np.uint8)

Form: TypeAlias = Literal["pictures", "crops"]
"""What comes from the host: rectangles of pictures, or crops that were sampled there."""


@dataclass(frozen=True, eq=False, slots=True)
class PictureInputs:
    """One instant of B hands in V views, in pictures that are not cropped yet; else as `NetworkInputs`.

    Args:
        pictures: One a view `(H, W, 3)` uint8 BGR; None for a view that is missing. How long they are read the call
            says.
        nodes: Where the nodes of each crop, 16 crop pixels apart, lie in its picture `(B, V, G, G, 2)`: x and y,
            integers being pixel centres. Finite also for crops that are masked.
        mirrored: `(B,)`: true for left hands, whose crops are flipped.
        projections: `(B, V, 3, 4)`.
        view_mask: `(B, V)`; the crops of masked views are black.
        noise: `(B, V, M, 21, 2)`.
        state: `(B, K, 2, P, 21, D)`.
        state_valid: `(B, P)`.
    """

    pictures: Sequence[NDArray[np.uint8] | None]
    nodes: NDArray[np.float32]
    mirrored: NDArray[np.bool_]
    projections: NDArray[np.float32]
    view_mask: NDArray[np.float32]
    noise: NDArray[np.float32]
    state: NDArray[np.float32]
    state_valid: NDArray[np.float32]


@dataclass(frozen=True, eq=False, slots=True)
class Ticket:
    """A step under way, to be collected once.

    Args:
        hands: B.
        views: V.
    """

    hands: int
    views: int


class Slot(Protocol):
    """What one step at a time is under way in.

    Attributes:
        ticket: Of the step; None while there is none.
    """

    ticket: Ticket | None


_Slot = TypeVar("_Slot", bound=Slot)


def idle_slot(slots: Sequence[_Slot], card: ModelCard) -> _Slot:
    """The first slot in which no step is under way.

    Raises:
        EngineError: If there is none.
    """
    for slot in slots:
        if slot.ticket is None:
            return slot
    raise EngineError(f"network {card.model_id}: {len(slots)} steps are under way; collect one first")


def take_back(slots: Sequence[_Slot], ticket: Ticket, card: ModelCard) -> _Slot:
    """The slot of a step, which is then no more under way.

    Raises:
        EngineError: If no slot has that step.
    """
    for slot in slots:
        if slot.ticket is ticket:
            slot.ticket = None
            return slot
    raise EngineError(
        f"network {card.model_id}: this step is not under way here; collect each step once, from where it was submitted"
    )


def check_idle(slots: Sequence[Slot], card: ModelCard) -> None:
    """Refuse to get slots ready while a step is under way in one, whose answer that would overwrite.

    Raises:
        EngineError: If there is such a step.
    """
    if any(slot.ticket is not None for slot in slots):
        raise EngineError(
            f"network {card.model_id}: it cannot get ready for crops and pictures alike while a step is under way; "
            "collect that first"
        )


@runtime_checkable
class PictureRuntime(NetworkRuntime, Protocol):
    """A network on a GPU that is given pictures instead of crops; two steps can be under way at once."""

    def prepare(self, views: int, hands: int) -> None:
        """Get ready for steps of one to so many hands in so many views, which may take long.

        Raises:
            EngineError: If that fails.
        """

    def lock(self, memory: NDArray[np.uint8]) -> bool:
        """Lock memory that pictures will lie in, so that the GPU reads them there and nothing copies them before.

        Locking takes some milliseconds, once; again for the same array it does nothing. The memory is unlocked when
        nobody holds the array any more, or at `close`. What cannot be locked is copied in each step, as pictures
        elsewhere are; the log says so.

        Args:
            memory: A mapping's bytes in one row, from the start of a page on. Pictures that are views of this very
                array are read in place.

        Returns:
            Whether it is locked.

        Raises:
            EngineError: If the memory does not begin with a page, or the runtime is closed.
        """

    def run_pictures(self, inputs: PictureInputs) -> NetworkOutputs:
        """Take one step; nothing of the inputs is read once this returns.

        Raises:
            EngineError: If the inputs' shapes are not the network's, or the runtime fails.
        """

    def submit(self, inputs: PictureInputs) -> Ticket:
        """Start a step; what it returns is for `collect`.

        Arrays and pictures may be changed once this returns, but for pictures in locked memory: they must stay as they
        are until the step is collected.

        Raises:
            EngineError: As `run_pictures`; also if two steps are under way.
        """

    def collect(self, ticket: Ticket) -> NetworkOutputs:
        """Wait for a step.

        Raises:
            EngineError: If the runtime fails, or the step was collected already.
        """

    def stage_times_ms(self, inputs: PictureInputs, repeats: int) -> dict[str, NDArray[np.float64]]:
        """Times of the parts of a frame on the GPU, each by itself, by their names; one a repeat.

        Raises:
            EngineError: As `run_pictures`.
        """

    def memory_bytes(self) -> int:
        """Memory of the GPU that is held."""


def checked_form(inputs: PictureInputs | NetworkInputs, card: ModelCard) -> Form:
    """What comes from the host, checked.

    Raises:
        EngineError: With the first input that has another shape or type than the network's.
    """
    if isinstance(inputs, PictureInputs):
        check_pictures(inputs, card)
        return "pictures"
    check_inputs(inputs, card)
    return "crops"


def check_pictures(inputs: PictureInputs, card: ModelCard) -> None:
    """Refuse inputs that are not those of a network.

    Raises:
        EngineError: With the first input that has another shape or type.
    """
    mask = inputs.view_mask.shape
    check_arrays(inputs, mask, _ARRAYS, card)
    if len(inputs.pictures) != mask[1]:
        raise EngineError(f"there are {len(inputs.pictures)} pictures for {mask[1]} views; give one, or None, for each")
    for view, picture in enumerate(inputs.pictures):
        if picture is None:
            if inputs.view_mask[:, view].any():
                raise EngineError(f"view {view} has no picture and is not masked; set its view_mask to 0")
        elif picture.dtype != _PIXEL or picture.shape[2:] != (3,) or not picture.size:
            raise EngineError(
                f"the picture of view {view} is {picture.dtype} with shape {picture.shape}; give uint8 with (H, W, 3)"
            )
