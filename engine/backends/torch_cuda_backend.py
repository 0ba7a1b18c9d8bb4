"""An exported network in PyTorch on an NVIDIA GPU: pictures or crops up, one CUDA graph a frame, one answer down.

The graph of a frame is captured once for each number of hands and views and launched from then on. Two frames can be
under way at once, each with buffers and a stream of its own.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.backends.base import NetworkInputs, NetworkOutputs
from engine.backends.gpu_convolution import CONVOLUTION_ADD_RELU
from engine.backends.gpu_frame import STAGES, Frame
from engine.backends.gpu_graph import CapturedGraph
from engine.backends.gpu_network import for_gpu
from engine.backends.gpu_settings import GpuSettings
from engine.backends.gpu_step_compiler import compile_step
from engine.backends.gpu_trace import Step, trace_step
from engine.backends.locked_memory import LockedMemory
from engine.backends.pictures import (
    SLOTS,
    Form,
    PictureInputs,
    Ticket,
    check_idle,
    check_pictures,
    checked_form,
    idle_slot,
    take_back,
)
from engine.backends.torch_backend import load_exported
from engine.errors import EngineError
from engine.hand_model.model import HandModel
from engine.kernels.driver import checked, kernels_reason
from engine.kernels.library import KernelLibrary
from engine.model_card import ModelCard
from engine.network.network import UstHandNetwork

_WARM_UP: Final = 3
_LOG = logging.getLogger(__name__)


def gpu_reason() -> str | None:
    """Why PyTorch cannot run on a GPU here; None if it can."""
    if torch.version.cuda is None:
        return f"PyTorch {torch.__version__} is built without CUDA; install a build with it"
    if not torch.cuda.is_available():
        return f"PyTorch {torch.__version__} finds no NVIDIA GPU; see nvidia-smi and CUDA_VISIBLE_DEVICES"
    return kernels_reason()


class _Slot:
    """One frame's buffers, stream and captured graphs."""

    def __init__(self, frame: Frame, stream: torch.cuda.Stream) -> None:
        self.frame = frame
        self.stream = stream
        self.graphs: dict[Form, CapturedGraph] = {}
        self.ticket: Ticket | None = None
        # What the GPU may read until the step is collected: locked memory is unlocked when nobody holds it.
        self.reading: PictureInputs | NetworkInputs | None = None

    def close(self) -> None:
        """Give back its graphs."""
        for graph in self.graphs.values():
            graph.close()


class TorchCudaRuntime:
    """An exported network in PyTorch on a GPU.

    One thread calls it at a time; it need not be always the same one.

    Args:
        path: The file.
        hand_model: The hand model that the card names; None is the embedded one.
        settings: How it runs.

    Raises:
        EngineError: If there is no GPU that PyTorch can use, with the reason, or the file cannot be used.
    """

    def __init__(self, path: Path, hand_model: HandModel | None = None, settings: GpuSettings | None = None) -> None:
        _check_gpu()
        self._open(*load_exported(path, hand_model), settings or GpuSettings())

    @classmethod
    def from_network(
        cls, network: UstHandNetwork, card: ModelCard, settings: GpuSettings | None = None
    ) -> TorchCudaRuntime:
        """Run a network that is in memory; `card` is the one that its file would have."""
        _check_gpu()
        runtime = cls.__new__(cls)
        runtime._open(network, card, settings or GpuSettings())
        return runtime

    def _open(self, network: UstHandNetwork, card: ModelCard, settings: GpuSettings) -> None:
        self._card = card
        self._notes: list[str] = []
        self._device = _gpu(settings.device)
        self._buckets: dict[tuple[int, int], tuple[Step, list[_Slot]]] = {}
        self._network: UstHandNetwork | None = None
        if settings.compiled is not None and importlib.util.find_spec("triton") is None:
            self._notes.append("not compiled, since triton is missing")
            settings = replace(settings, compiled=None)
        self._settings = settings
        torch.cuda.set_device(self._device)
        torch.cuda.init()  # type: ignore[no-untyped-call]
        with self._failures("opening"):
            precision = getattr(torch, settings.precision)
            self._network = for_gpu(network, precision, own_kernels=settings.own_kernels).to(self._device)
            self._driver: Any = importlib.import_module("cuda.bindings.driver")
            # PyTorch makes a context only once there is something to hold.
            torch.zeros(1, device=self._device)
            self._context = checked(self._driver.cuCtxGetCurrent(), "cuCtxGetCurrent")
            self._kernels = KernelLibrary()
            self._locked = LockedMemory()
        if settings.precision == "float32":
            # It is there to compare with: fused, its factors could be rounded.
            self._settings = replace(self._settings, fused_convolutions=False)
        elif settings.fused_convolutions and (reason := _fusing_reason(self._device, settings)) is not None:
            self._notes.append("convolutions not fused")
            _LOG.warning("network %s: cuDNN cannot fuse convolutions here (%s)", card.model_id, reason)
            self._settings = replace(self._settings, fused_convolutions=False)

    @property
    def card(self) -> ModelCard:
        """Which network it is."""
        return self._card

    @property
    def settings(self) -> GpuSettings:
        """How it runs, as far as it could be had."""
        return self._settings

    @property
    def backend(self) -> str:
        """PyTorch's version, the GPU, and how the network runs on it."""
        settings = self._settings
        how = [
            f"{settings.precision} convolutions",
            "eager" if settings.compiled is None else "compiled",
            "one CUDA graph a frame" if settings.captured else "no CUDA graph",
            *self._notes,
        ]
        return f"torch {torch.__version__} CUDA, {torch.cuda.get_device_name(self._device)}, {', '.join(how)}"

    def prepare(self, views: int, hands: int) -> None:
        """Compile and capture the frames of 1 to so many hands in some views, which takes long the first time.

        Raises:
            EngineError: If that fails: most often the memory of the GPU.
        """
        for count in range(1, hands + 1):
            if (count, views) not in self._buckets:
                _LOG.info("%s: getting ready for %d views, %d of %d hands", self._card.model_id, views, count, hands)
            self._ready(count, views, "pictures")

    def lock(self, memory: NDArray[np.uint8]) -> bool:
        """Lock memory that pictures lie in, so that the GPU reads them there; see `PictureRuntime.lock`.

        Raises:
            EngineError: If the memory does not begin with a page, or the network is closed.
        """
        if self._network is None:
            raise EngineError(f"network {self._card.model_id} is closed; open it again")
        with self._failures("locking pictures"):
            self._enter()
            return self._locked.lock(memory)

    def run(self, inputs: NetworkInputs) -> NetworkOutputs:
        """Take one step.

        Raises:
            EngineError: If the inputs are not the network's, the GPU fails, or the network is closed.
        """
        return self.collect(self.submit(inputs))

    def run_pictures(self, inputs: PictureInputs) -> NetworkOutputs:
        """Take one step, with crops that are sampled on the GPU.

        Raises:
            EngineError: If the inputs are not the network's, the GPU fails, or the network is closed.
        """
        return self.collect(self.submit(inputs))

    def submit(self, inputs: PictureInputs | NetworkInputs) -> Ticket:
        """Start a step; see `PictureRuntime.submit` for what may be changed once this returns.

        Raises:
            EngineError: As `run`; also if two steps are under way already.
        """
        form = checked_form(inputs, self._card)
        hands, views = inputs.view_mask.shape
        slot = idle_slot(self._ready(hands, views, form), self._card)
        with self._failures("a step"):
            slot.frame.stage(inputs)
            self._launch(slot, form)
        slot.ticket, slot.reading = Ticket(hands, views), inputs
        return slot.ticket

    def collect(self, ticket: Ticket) -> NetworkOutputs:
        """Wait for a step.

        Raises:
            EngineError: If the GPU fails, the step was collected already, or the network is closed.
        """
        if self._network is None:
            raise EngineError(f"network {self._card.model_id} is closed; open it again")
        _, slots = self._buckets.get((ticket.hands, ticket.views), (None, ()))
        slot = take_back(slots, ticket, self._card)
        with self._failures("a step"):
            slot.stream.synchronize()
            slot.reading = None
            return slot.frame.outputs()

    def run_uncaptured(self, inputs: PictureInputs) -> NetworkOutputs:
        """Take one step whose kernels are launched one by one, to compare with.

        Raises:
            EngineError: As `run`.
        """
        check_pictures(inputs, self._card)
        hands, views = inputs.view_mask.shape
        slot = idle_slot(self._ready(hands, views, "pictures"), self._card)
        with self._failures("a step"), torch.no_grad(), arithmetic(self._settings):
            self._enter()
            with torch.cuda.stream(slot.stream):
                slot.frame.stage(inputs)
                slot.frame.work("pictures")
            slot.stream.synchronize()
            return slot.frame.outputs()

    def stage_times_ms(self, inputs: PictureInputs, repeats: int) -> dict[str, NDArray[np.float64]]:
        """Time the parts of a frame on the GPU, each by itself: each is captured and launched between two events.

        Returns:
            By the names of `engine.backends.gpu_frame.STAGES`, one time a repeat; and `whole`, all in one graph.

        Raises:
            EngineError: As `run`.
        """
        check_pictures(inputs, self._card)
        hands, views = inputs.view_mask.shape
        slot = idle_slot(self._ready(hands, views, "pictures"), self._card)
        with self._failures("timing"), torch.no_grad(), arithmetic(self._settings):
            self._enter()
            slot.frame.stage(inputs)
            parts = dict(zip(STAGES, slot.frame.parts("pictures"), strict=True))
            parts["whole"] = lambda: slot.frame.work("pictures")
            return {name: _times_ms(part, slot.stream, repeats) for name, part in parts.items()}

    def memory_bytes(self) -> int:
        """Memory of the GPU that PyTorch holds, all its networks together."""
        return torch.cuda.memory_reserved(self._device)

    def graph_nodes(self, hands: int, views: int) -> int:
        """Kernels and copies in the graph of a frame; 0 where none is captured."""
        graphs = self._ready(hands, views, "pictures")[0].graphs
        return graphs["pictures"].nodes if graphs else 0

    def close(self) -> None:
        """Give back the memory of the GPU."""
        if self._network is None:
            return
        self._network = None
        buckets, self._buckets = self._buckets, {}
        with self._failures("closing"):
            self._enter()
            torch.cuda.synchronize(self._device)
            # Nothing here may hold a bucket once it is closed, or its memory stays in PyTorch's cache.
            while buckets:
                _close(buckets.popitem()[1][1])
            self._locked.close()
            self._kernels.close()
            # A traced step refers to itself.
            gc.collect()
            torch.cuda.empty_cache()

    def _enter(self) -> None:
        """Make the GPU's context current in this thread, which may be another one than before."""
        torch.cuda.set_device(self._device)
        self._driver.cuCtxSetCurrent(self._context)

    def _launch(self, slot: _Slot, form: Form) -> None:
        graph = slot.graphs.get(form)
        if graph is None:
            self._enter()
            with torch.cuda.stream(slot.stream), torch.no_grad(), arithmetic(self._settings):
                slot.frame.work(form)
            return
        # All that the driver needs to know; PyTorch, which is not asked here, learns of it from there.
        self._driver.cuCtxSetCurrent(self._context)
        graph.launch()

    def _ready(self, hands: int, views: int, form: Form) -> list[_Slot]:
        """The slots of so many hands and views, captured for that form."""
        if self._network is None:
            raise EngineError(f"network {self._card.model_id} is closed; open it again")
        found = self._buckets.get((hands, views))
        if found is not None:
            # They are captured in their order.
            if not self._settings.captured or form in found[1][-1].graphs:
                return found[1]
            check_idle(found[1], self._card)
        with self._failures(f"getting ready for {views} views and {hands} hands"):
            self._enter()
            with torch.no_grad(), arithmetic(self._settings):
                if found is None:
                    found = self._bucket(hands, views)
                    self._buckets[hands, views] = found
                for slot in found[1]:
                    if form in slot.graphs:
                        continue
                    self._warm_up(slot, form)
                    if self._settings.captured:
                        slot.graphs[form] = CapturedGraph(
                            lambda slot=slot: slot.frame.work(form),  # type: ignore[misc] # mypy has no type for it
                            slot.stream,
                        )
        return found[1]

    def _bucket(self, hands: int, views: int) -> tuple[Step, list[_Slot]]:
        assert self._network is not None  # noqa: S101 - the caller has seen to it
        step = build_step(self._network, self._card, hands, views, self._device, self._settings)
        compiled = self._settings.compiled
        if compiled is not None:
            try:
                # Inputs that lie in memory as a frame's do: for others it would compile once more.
                step = compile_step(step, self._frame(hands, views, step).inputs, compiled)
            except Exception as error:  # noqa: BLE001 - whatever a compiler cannot do, PyTorch's own kernels can
                _LOG.warning("network %s: not compiled (%s)", self._card.model_id, _line(error))
                self._notes.append("not compiled, since the compiler failed")
                self._settings = replace(self._settings, compiled=None)
        streams = (torch.cuda.Stream(self._device) for _ in range(SLOTS))  # type: ignore[no-untyped-call]
        return step, [_Slot(self._frame(hands, views, step), stream) for stream in streams]

    def _frame(self, hands: int, views: int, step: Step) -> Frame:
        return Frame(self._card, hands, views, self._device, step, self._kernels, self._locked.address)

    def _warm_up(self, slot: _Slot, form: Form) -> None:
        """Run a frame before it is captured, so that every library has chosen its kernels and has its memory."""
        torch.cuda.synchronize(self._device)
        with torch.cuda.stream(slot.stream):
            for _ in range(_WARM_UP):
                slot.frame.work(form)
        slot.stream.synchronize()

    def _failures(self, doing: str) -> _Failures:
        return _Failures(self._card, doing)


class _Failures:
    """Failures of the GPU as errors that say what failed and what to do.

    A class, since a frame enters two: a generator's context manager takes three times as long.

    Args:
        card: The network's.
        doing: What.
    """

    __slots__ = ("_card", "_doing")

    def __init__(self, card: ModelCard, doing: str) -> None:
        self._card, self._doing = card, doing

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None or isinstance(error, EngineError) or not isinstance(error, RuntimeError):
            return
        what = f"network {self._card.model_id}: {self._doing} failed on the GPU"
        if isinstance(error, torch.cuda.OutOfMemoryError):
            raise EngineError(
                f"{what}: its memory is full ({_line(error)}); end what else uses it (nvidia-smi), or use fewer views"
            ) from error
        raise EngineError(
            f"{what} ({_line(error)}); if it goes on, restart the service, or use --backend onnxruntime"
        ) from error


def _times_ms(work: Callable[[], None], stream: torch.cuda.Stream, repeats: int) -> NDArray[np.float64]:
    """How long work takes on the GPU once it is captured."""
    graph = CapturedGraph(work, stream)
    event: Callable[..., Any] = torch.cuda.Event
    marks = [(event(enable_timing=True), event(enable_timing=True)) for _ in range(repeats + 1)]
    for start, end in marks:
        start.record(stream)
        graph.launch()
        end.record(stream)
        stream.synchronize()
    graph.close()
    # The first one brings the graph to the GPU.
    return np.array([start.elapsed_time(end) for start, end in marks[1:]])


def _close(slots: Sequence[_Slot]) -> None:
    for slot in slots:
        slot.close()


def _gpu(number: int) -> torch.device:
    return torch.device("cuda", number)


def _check_gpu() -> None:
    if (reason := gpu_reason()) is not None:
        raise EngineError(f"backend 'torch' cannot run on a GPU: {reason}; use --backend onnxruntime")


def _line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:200] or type(error).__name__


def blank_inputs(card: ModelCard, hands: int, views: int, device: torch.device) -> tuple[Tensor, ...]:
    """Inputs of a step's shapes, in its order, all zero."""
    side = card.input_px
    floats = (
        (hands, views, 3, 4),
        (hands, views),
        (hands, views, card.hypotheses, 21, 2),
        (hands, card.blocks, 2, card.past, 21, card.channels),
        (hands, card.past),
    )
    crops = torch.zeros((hands, views, side, side, 3), dtype=torch.uint8, device=device)
    return crops, *(torch.zeros(shape, device=device) for shape in floats)


def build_step(
    network: UstHandNetwork, card: ModelCard, hands: int, views: int, device: torch.device, settings: GpuSettings
) -> Step:
    """The step of a network that `for_gpu` made, for so many hands and views, in PyTorch's own kernels."""
    inputs = blank_inputs(card, hands, views, device)
    return trace_step(network, inputs, fused_convolutions=settings.fused_convolutions)


@contextmanager
def arithmetic(settings: GpuSettings) -> Iterator[None]:
    """PyTorch's arithmetic as the settings want it, while a step is built, and as it was before after that."""
    matmul, tf32 = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    benchmark = torch.backends.cudnn.benchmark
    torch.set_float32_matmul_precision("high" if settings.tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.allow_tf32 = tf32
        torch.backends.cudnn.benchmark = benchmark


def _fusing_reason(device: torch.device, settings: GpuSettings) -> str | None:
    """Why cuDNN cannot fuse a convolution with a sum and a ReLU here; None if it can, and answers right."""
    generator = torch.Generator(device=device).manual_seed(0)
    options: dict[str, Any] = {"device": device, "generator": generator}

    def half(*shape: int) -> Tensor:
        values = torch.randn(shape, **options).to(getattr(torch, settings.precision))
        return values.to(memory_format=torch.channels_last) if len(shape) == 4 else values

    images, weight, bias, added = half(2, 64, 16, 16), half(64, 64, 3, 3) / 24, half(64), half(2, 64, 16, 16)
    try:
        fused = CONVOLUTION_ADD_RELU(images, weight, bias, added, [1, 1], [1, 1], [1, 1], 1)
        plain = torch.relu(torch.conv2d(images, weight, bias, 1, 1) + added)
        if not torch.allclose(fused, plain, rtol=0.02, atol=0.05):
            return "its answer is another one"
    except RuntimeError as error:
        return _line(error)
    return None
