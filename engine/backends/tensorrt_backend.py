"""An exported network as TensorRT plans: pictures or crops up, one CUDA graph a frame, one answer down.

There is a plan for each number of hands and views, built ahead by `usthand build-plan`: with sizes fixed, TensorRT
folds all that depends on them and chooses each kernel for them alone, and a captured graph is of one size in any case.
The graph is captured once and launched from then on. Two frames can be under way at once, each with a context, buffers
and a stream of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.backends.base import INPUT_NAMES, READ_OUTPUTS, NetworkInputs, NetworkOutputs, read_model
from engine.backends.cuda_memory import CudaContext
from engine.backends.frame_graph import FrameGraph
from engine.backends.gpu_device import Gpu, find_gpu
from engine.backends.locked_memory import LockedMemory
from engine.backends.packing import result_packing, unpack_result, upload_packing
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
from engine.backends.plan_builder import PlanSettings, plan_key
from engine.backends.plan_graph import PRECISIONS, network_card, parse_network
from engine.backends.plans import (
    Plan,
    PlanKey,
    build_command,
    file_digest,
    fitting_key,
    plan_folder,
    read_plan,
    write_whole,
)
from engine.backends.staging import Locked, Stager
from engine.backends.tensorrt_api import RuntimeCache, TensorrtLibrary, capability_reason, find_library
from engine.backends.trial import trial_inputs, trial_pictures
from engine.errors import EngineError
from engine.kernels.library import KernelLibrary
from engine.model_card import ModelCard

_WARM_UP: Final = 3
_LOG = logging.getLogger(__name__)


class Frame:
    """The buffers of one frame that is under way, and its work: up, pixels, crops, network, down.

    Args:
        cuda: The context, current.
        card: The network's.
        hands: B.
        views: V.
        context: TensorRT's, that runs the plan.
        kernels: Fetch pixels and sample crops.
        locked: Which pictures the GPU reads where they are.
        captured: Whether its work becomes one CUDA graph; without it, for comparison, each part is launched by itself.
    """

    def __init__(
        self,
        cuda: CudaContext,
        card: ModelCard,
        hands: int,
        views: int,
        context: Any,
        kernels: KernelLibrary,
        locked: Locked,
        captured: bool,
    ) -> None:
        self._cuda, self._context, self._kernels, self._captured = cuda, context, kernels, captured
        self._count, self._side = hands * views, card.input_px
        self._upload, self._packing = upload_packing(card, hands, views), result_packing(card, hands, views)
        self._crop_bytes = self._count * self._side * self._side * 3
        self._stream = cuda.stream()
        self._host_up, self._host_down = cuda.pinned(self._upload.size), cuda.pinned(self._packing.size)
        # Memory that CUDA has given out page-locked has the same address on the GPU.
        self._stager = Stager(self._upload, self._host_up, self._host_up.ctypes.data, locked)
        self._up, self._down = cuda.memory(self._upload.size), cuda.memory(self._packing.size)
        self._crops = cuda.memory(self._crop_bytes)
        self._graphs: dict[Form, FrameGraph] = {}
        # What the GPU may read until the step is collected: locked memory is unlocked when nobody holds it.
        self._reading: PictureInputs | NetworkInputs | None = None
        self.ticket: Ticket | None = None

    def bind(self) -> str | None:
        """Let TensorRT read from where the copy arrives, and write to where the answer leaves.

        Returns:
            The first tensor that the plan lacks; None if it has all.
        """
        sections = self._upload.arrays.sections
        places = {name: int(self._up) + sections[name].offset for name in INPUT_NAMES if name != "crops"}
        places["crops"] = int(self._crops)
        places |= {name: int(self._down) + self._packing.sections[name].offset for name in READ_OUTPUTS}
        return next((name for name, at in places.items() if not self._context.set_tensor_address(name, at)), None)

    @property
    def graph_nodes(self) -> int:
        """Kernels and copies in its graph; 0 if none is captured."""
        return next((graph.nodes for graph in self._graphs.values()), 0)

    def prepare(self, form: Form, trial: Sequence[PictureInputs | NetworkInputs]) -> None:
        """Run the work, so that all is compiled and allocated, then capture it.

        Args:
            form: What comes from the host.
            trial: Two inputs of that form.

        Raises:
            EngineError: If the captured work gives another answer than the work itself.
        """
        if form in self._graphs:
            return
        for _ in range(_WARM_UP):
            self._work(form)
        self._stream.synchronize()
        if not self._captured:
            return
        self._graphs[form] = FrameGraph(int(self._stream.handle), lambda: self._work(form))
        try:
            self._compare(trial[0], trial[1])
        except Exception:
            self._graphs.pop(form).close()
            raise

    def _compare(self, inputs: PictureInputs | NetworkInputs, others: PictureInputs | NetworkInputs) -> None:
        """See that the graph gives what its work gives: what a library left out of the capture, it need not say."""
        self.start(inputs, eager=True)
        expected = self.finish()
        # Of other inputs, so that nothing right is left over.
        self.start(others, eager=True)
        self.finish()
        self._cuda.poison(self._down, self._packing.size)
        self.start(inputs)
        got = self.finish()
        for field in fields(got):
            if not np.allclose(getattr(got, field.name), getattr(expected, field.name), rtol=1e-3, atol=1e-4):
                raise EngineError(
                    f"the captured frame gives another {field.name} than its work by itself; use --backend torch"
                )

    def start(self, inputs: PictureInputs | NetworkInputs, *, eager: bool = False) -> None:
        """Stage inputs and launch the work, part by part if `eager`."""
        form = self._staged(inputs)
        self._reading = inputs
        if self._captured and not eager:
            self._graphs[form].launch()
        else:
            self._work(form)

    def finish(self) -> NetworkOutputs:
        """Wait for the work and copy the answers out."""
        self._stream.synchronize()
        self._reading = None
        return unpack_result(self._host_down, self._packing)

    def close(self) -> None:
        """Give its memory back."""
        self._stream.synchronize()
        for graph in self._graphs.values():
            graph.close()
        self._graphs.clear()
        self._context = None
        for memory in (self._up, self._down, self._crops):
            memory.free()

    def parts(self, form: Form) -> dict[str, Callable[[], None]]:
        """What launches each part of the work, in their order."""
        arrays = self._upload.arrays
        up, crops, stream = int(self._up), int(self._crops), int(self._stream.handle)

        def upload() -> None:
            self._cuda.upload(up, self._host_up[: arrays.size], self._stream)

        def fetch() -> None:
            if form == "crops":
                self._cuda.upload(crops, self._host_up[arrays.size :][: self._crop_bytes], self._stream)
                return
            self._kernels.gather_pixels(stream, up + arrays.sections["places"].offset, up, count=self._count)

        def sample() -> None:
            if form == "crops":
                return
            self._kernels.sample_crops(
                stream,
                up,
                up + arrays.sections["places"].offset,
                up + arrays.sections["nodes"].offset,
                crops,
                count=self._count,
                size_px=self._side,
            )

        def network() -> None:
            if not self._context.execute_async_v3(stream):
                raise EngineError("TensorRT did not run the plan; its reason is in the log")

        def download() -> None:
            self._cuda.download(self._host_down, int(self._down), self._stream)

        return {"upload": upload, "pixels": fetch, "crops": sample, "network": network, "download": download}

    def stage_times_ms(self, inputs: PictureInputs, repeats: int) -> dict[str, NDArray[np.float64]]:
        """Time each part of the work by itself, by events."""
        self._staged(inputs)
        parts = self.parts("pictures")
        times = {name: np.empty(repeats) for name in parts}
        for repeat in range(repeats):
            marks = [self._cuda.mark(self._stream)]
            for part in parts.values():
                part()
                marks.append(self._cuda.mark(self._stream))
            self._stream.synchronize()
            for name, before, after in zip(parts, marks[:-1], marks[1:], strict=True):
                times[name][repeat] = after.time_since(before)
        return times

    def _staged(self, inputs: PictureInputs | NetworkInputs) -> Form:
        """Stage inputs; their form."""
        self._stager.stage(inputs)
        return "pictures" if isinstance(inputs, PictureInputs) else "crops"

    def _work(self, form: Form) -> None:
        for part in self.parts(form).values():
            part()


class TensorrtRuntime:
    """An exported network as TensorRT plans, on an NVIDIA GPU.

    One thread calls it at a time; it need not be always the same one.

    Args:
        path: The exported file.
        plans: Folder of its plans; None is the user's cache.
        views: Of the rig, for which there must be plans; None is content with a plan for any number.
        hands: Then for 1 to so many.
        captured: Whether a frame is one CUDA graph; without it, for comparison, each part is launched by itself.

    Raises:
        EngineError: If TensorRT, pycuda or a GPU is missing, the file cannot be used, or there is no plan that fits,
            with the command that builds one.
    """

    def __init__(
        self,
        path: Path,
        plans: Path | None = None,
        *,
        views: int | None = None,
        hands: int = 1,
        captured: bool = True,
    ) -> None:
        fitting = _fitting(path, plan_folder(plans), views, hands)
        self._library, self._gpu, self._card, self._plan_key = fitting
        self._path, self._folder, self._captured = path, plan_folder(plans), captured
        self._buckets: dict[tuple[int, int], _Bucket] = {}
        self._log = self._library.logger()
        cuda = CudaContext()
        try:
            with cuda.current():
                self._kernels = KernelLibrary()
                self._locked = LockedMemory()
                self._runtime = self._library.module.Runtime(self._log)
        except BaseException:
            cuda.close()
            raise
        self._cuda: CudaContext | None = cuda

    @staticmethod
    def check(path: Path, plans: Path | None = None, *, views: int | None = None, hands: int = 1) -> None:
        """See whether there is a plan for a file; nothing is made on the GPU.

        Raises:
            EngineError: As the constructor.
        """
        _fitting(path, plan_folder(plans), views, hands)

    @property
    def card(self) -> ModelCard:
        """Which network it is."""
        return self._card

    @property
    def backend(self) -> str:
        """TensorRT's version, the GPU, and how the network runs on it."""
        nearest = "TopK for nearest points" if self._plan_key.plugin == "topk" else "a kernel for nearest points"
        graph = "one CUDA graph a frame" if self._captured else "no CUDA graph"
        return f"{self._library}, {self._gpu.name}, {self._plan_key.precision} convolutions, {nearest}, {graph}"

    def prepare(self, views: int, hands: int) -> None:
        """Read the plans for 1 to so many hands in some views, and capture their frames.

        Raises:
            EngineError: If a plan is missing or does not fit, with the command that builds it.
        """
        for count in range(1, hands + 1):
            self._ready(count, views, "pictures")

    def lock(self, memory: NDArray[np.uint8]) -> bool:
        """Lock memory that pictures lie in, so that the GPU reads them there; see `PictureRuntime.lock`.

        Raises:
            EngineError: If the memory does not begin with a page, or the network is closed.
        """
        with self._opened().current():
            return self._locked.lock(memory)

    def run(self, inputs: NetworkInputs) -> NetworkOutputs:
        """Take one step.

        Raises:
            EngineError: If the inputs are not the network's, a plan is missing, or the GPU fails.
        """
        return self.collect(self.submit(inputs))

    def run_pictures(self, inputs: PictureInputs) -> NetworkOutputs:
        """Take one step, with crops that are sampled on the GPU.

        Raises:
            EngineError: As `run`.
        """
        return self.collect(self.submit(inputs))

    def submit(self, inputs: PictureInputs | NetworkInputs) -> Ticket:
        """Start a step; see `PictureRuntime.submit` for what may be changed once this returns.

        Raises:
            EngineError: As `run`; also if two steps are under way already.
        """
        form = checked_form(inputs, self._card)
        hands, views = inputs.view_mask.shape
        frame = idle_slot(self._ready(hands, views, form).frames, self._card)
        with self._opened().current():
            frame.start(inputs)
        frame.ticket = Ticket(hands, views)
        return frame.ticket

    def collect(self, ticket: Ticket) -> NetworkOutputs:
        """Wait for a step.

        Raises:
            EngineError: If the GPU fails, the step was collected already, or the network is closed.
        """
        cuda, bucket = self._opened(), self._buckets.get((ticket.hands, ticket.views))
        frame = take_back(() if bucket is None else bucket.frames, ticket, self._card)
        with cuda.current():
            return frame.finish()

    def graph_nodes(self, hands: int, views: int) -> int:
        """Kernels and copies in the graph of a frame; 0 where none is captured."""
        return self._ready(hands, views, "pictures").frames[0].graph_nodes

    def stage_times_ms(self, inputs: PictureInputs, repeats: int) -> dict[str, NDArray[np.float64]]:
        """Time each part of a frame on the GPU, launched by itself.

        Returns:
            Upload, pixels, crops, network and download, milliseconds `(repeats,)` each.

        Raises:
            EngineError: As `run_pictures`.
        """
        check_pictures(inputs, self._card)
        hands, views = inputs.view_mask.shape
        frame = idle_slot(self._ready(hands, views, "pictures").frames, self._card)
        with self._opened().current():
            return frame.stage_times_ms(inputs, repeats)

    def memory_bytes(self) -> int:
        """Memory of the GPU that is in use, by whomever."""
        cuda = self._opened()
        with cuda.current():
            return cuda.memory_in_use()

    def close(self) -> None:
        """Give back the memory of the GPU."""
        if self._cuda is None:
            return
        cuda, self._cuda = self._cuda, None
        with cuda.current():
            # What pycuda frees once the context is given back stays: nothing here may hold a bucket that is closed.
            while self._buckets:
                self._buckets.popitem()[1].close()
            self._runtime = None
            self._locked.close()
            self._kernels.close()
        cuda.close()

    def _opened(self) -> CudaContext:
        if self._cuda is None:
            raise EngineError(f"network {self._card.model_id} is closed; open it again")
        return self._cuda

    def _ready(self, hands: int, views: int, form: Form) -> _Bucket:
        """The frames of so many hands and views, captured for that form."""
        cuda = self._opened()
        bucket = self._buckets.get((hands, views))
        if bucket is None:
            plan = read_plan(self._folder, replace(self._plan_key, hands=hands, views=views), self._path)
            with cuda.current():
                bucket = self._bucket(cuda, plan)
            self._buckets[hands, views] = bucket
        if form not in bucket.prepared:
            check_idle(bucket.frames, self._card)
            with cuda.current():
                make = trial_pictures if form == "pictures" else trial_inputs
                trial = [make(self._card, hands, views, seed=seed) for seed in range(2)]
                for frame in bucket.frames:
                    frame.prepare(form, trial)
                bucket.keep()
            bucket.prepared.add(form)
        return bucket

    def _bucket(self, cuda: CudaContext, plan: Plan) -> _Bucket:
        # It fits and is whole: without --force it would be said to be there.
        remedy = f"run `{build_command(self._path, plan.key)} --force`"
        engine = self._runtime.deserialize_cuda_engine(plan.content)
        if engine is None:
            said = self._log.last_error or "it does not say why"
            raise EngineError(f"{plan.path}: {self._library} does not take it ({said}); {remedy}")
        cache = RuntimeCache(self._library, engine, self._cache_path(plan.key))
        bucket = _Bucket(cache)
        hands, views = plan.key.hands, plan.key.views
        try:
            for _ in range(SLOTS):
                context = cache.context()
                kernels, locked = self._kernels, self._locked.address
                bucket.frames.append(Frame(cuda, self._card, hands, views, context, kernels, locked, self._captured))
                if (lacking := bucket.frames[-1].bind()) is not None:
                    raise EngineError(f"{plan.path}: it has no tensor {lacking!r}; {remedy}")
        except BaseException:
            bucket.close()
            raise
        _LOG.info("%s: %s for %d views, %d hands", self._card.model_id, plan.path, views, hands)
        return bucket

    def _cache_path(self, key: PlanKey) -> Path:
        """What was compiled for a plan, on this very GPU."""
        here = file_digest(f"{key.digest} {self._gpu.name} {self._gpu.driver}".encode())[:12]
        return self._folder / f"runtime-{here}.cache"


def _fitting(
    path: Path, folder: Path, views: int | None, hands: int
) -> tuple[TensorrtLibrary, Gpu, ModelCard, PlanKey]:
    """Library, GPU and card of a file, and what its plans must be for; its hands and views stand for any.

    Raises:
        EngineError: If the library does not run on the GPU, or there is no plan that fits.
    """
    library, gpu = find_library(), find_gpu()
    if (reason := capability_reason(library, gpu)) is not None:
        raise EngineError(reason)
    content = read_model(path)
    card = network_card(parse_network(content, str(path)), str(path))
    digest = file_digest(content)
    # Whichever was built; the best one first.
    ways = [PlanSettings(precision, plugin) for precision in PRECISIONS for plugin in (True, False)]
    keys = dict.fromkeys(plan_key(digest, library, gpu, settings, 1, 1) for settings in ways)
    return library, gpu, card, fitting_key(folder, list(keys), path, views, hands)


class _Bucket:
    """The frames of so many hands and views.

    Args:
        cache: What was compiled for them.

    Attributes:
        frames: One a slot.
    """

    def __init__(self, cache: RuntimeCache) -> None:
        self.frames: list[Frame] = []
        self.prepared: set[Form] = set()
        self._cache = cache

    def close(self) -> None:
        """Give back the frames' memory; what is left of it goes with this, in the same context."""
        while self.frames:
            self.frames.pop().close()

    def keep(self) -> None:
        """Keep what was compiled, if the library compiles when it runs and it is not kept yet."""
        content = None if self._cache.kept else self._cache.content()
        if content is None:
            return
        try:
            write_whole(self._cache.path, content)
            self._cache.kept = True
        except OSError as error:
            _LOG.warning(
                "%s: what was compiled cannot be kept (%s); the next start takes as long", error.filename, error
            )
