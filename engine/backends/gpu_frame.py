"""A frame's way through a GPU: up, pixels, crops, network, down; its buffers, and the order of its work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.backends.base import INPUT_NAMES, READ_OUTPUTS, NetworkInputs, NetworkOutputs
from engine.backends.gpu_trace import Step
from engine.backends.packing import result_packing, unpack_result, upload_packing
from engine.backends.pictures import Form, PictureInputs
from engine.backends.staging import Locked, Stager
from engine.model_card import ModelCard

STAGES: tuple[str, ...] = ("upload", "pixels", "crops", "network", "download")
"""The parts of a frame on the GPU."""


class Kernels(Protocol):
    """What of `KernelLibrary` a frame launches."""

    def gather_pixels(self, stream: int, places: int, pixels: int, *, count: int) -> None:
        """Fetch rectangles of pictures."""

    def sample_crops(
        self, stream: int, pixels: int, places: int, nodes: int, crops: int, *, count: int, size_px: int
    ) -> None:
        """Sample crops."""


class Frame:
    """The buffers of one frame that is under way, and its work, in the order of `STAGES`.

    Args:
        card: The network's.
        hands: B.
        views: V.
        device: Where it runs.
        step: The network for so many hands and views.
        kernels: Fetch pixels and sample crops on that device.
        locked: Which pictures the device reads where they are.
    """

    def __init__(
        self,
        card: ModelCard,
        hands: int,
        views: int,
        device: torch.device,
        step: Step,
        kernels: Kernels,
        locked: Locked,
    ) -> None:
        self._size_px, self._step, self._kernels = card.input_px, step, kernels
        self._upload = upload_packing(card, hands, views)
        self._packing = result_packing(card, hands, views)
        on_gpu = device.type == "cuda"
        self._host_up = torch.zeros(self._upload.size, dtype=torch.uint8, pin_memory=on_gpu)
        self._host_down = torch.zeros(self._packing.size, dtype=torch.uint8, pin_memory=on_gpu)
        self._up = torch.zeros(self._upload.size, dtype=torch.uint8, device=device)
        self._down = torch.zeros(self._packing.size // 4, dtype=torch.float32, device=device)
        self._crops = torch.zeros((hands, views, self._size_px, self._size_px, 3), dtype=torch.uint8, device=device)
        self._host_answer: NDArray[np.uint8] = self._host_down.numpy()
        # Memory that CUDA has given out page-locked has the same address on the GPU.
        self._stager = Stager(self._upload, self._host_up.numpy(), self._host_up.data_ptr(), locked)
        arrays = self._upload.arrays
        found = {
            name: self._up[section.offset : section.offset + section.size].view(torch.float32).view(section.shape)
            for name, section in arrays.sections.items()
            if name != "places"
        }
        self._nodes = found["nodes"]
        self._places = self._up[arrays.sections["places"].offset :]
        self._inputs = (self._crops, *(found[name] for name in INPUT_NAMES[1:]))
        gaps = [
            (self._packing.sections[name].size // 4, end // 4)
            for name, end in zip(READ_OUTPUTS, self._ends(), strict=True)
        ]
        self._gaps = [torch.zeros(end - size, dtype=torch.float32, device=device) for size, end in gaps]

    def _ends(self) -> list[int]:
        """Bytes from each answer's start to the next one's."""
        starts = [self._packing.sections[name].offset for name in READ_OUTPUTS]
        return [after - start for start, after in zip(starts, [*starts[1:], self._packing.size], strict=True)]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the network reads, in its order."""
        return self._inputs

    def stage(self, inputs: PictureInputs | NetworkInputs) -> None:
        """Write inputs into the buffer that goes up; pictures that the device reads where they are stay there."""
        self._stager.stage(inputs)

    def work(self, form: Form) -> None:
        """Launch a whole frame on the current stream."""
        for part in self.parts(form):
            part()

    def parts(self, form: Form) -> tuple[Callable[[], None], ...]:
        """What launches each of `STAGES`."""
        arrays, count = self._upload.arrays, self._crops.shape[0] * self._crops.shape[1]

        def upload() -> None:
            self._up[: arrays.size].copy_(self._host_up[: arrays.size], non_blocking=True)

        def pixels() -> None:
            if form == "crops":
                given = self._host_up[arrays.size :][: self._crops.numel()]
                self._crops.copy_(given.view(self._crops.shape), non_blocking=True)
                return
            self._kernels.gather_pixels(self._stream(), self._places.data_ptr(), self._up.data_ptr(), count=count)

        def crops() -> None:
            if form == "pictures":
                addresses = (tensor.data_ptr() for tensor in (self._up, self._places, self._nodes, self._crops))
                self._kernels.sample_crops(self._stream(), *addresses, count=count, size_px=self._size_px)

        def network() -> None:
            answers = self._step(*self._inputs)
            pieces = [piece for pair in zip(answers, self._gaps, strict=True) for piece in (pair[0].view(-1), pair[1])]
            torch.cat(pieces, out=self._down)

        def download() -> None:
            self._host_down.copy_(self._down.view(torch.uint8), non_blocking=True)

        return upload, pixels, crops, network, download

    def _stream(self) -> int:
        """Handle of the current stream."""
        return torch.cuda.current_stream().cuda_stream if self._up.is_cuda else 0

    def outputs(self) -> NetworkOutputs:
        """Copy the answers out; the work must have finished."""
        return unpack_result(self._host_answer, self._packing)
