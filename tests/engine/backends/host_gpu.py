"""A GPU that is this machine's memory: stand-ins for pycuda, the CUDA driver and TensorRT, which do what these do.

Addresses are real ones, so that what reads or writes at a wrong place gives wrong answers. While a stream is captured
nothing runs; launching the graph runs it. A plan is the ONNX graph itself, which ONNX Runtime executes.
"""

from __future__ import annotations

import ctypes
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from engine.backends.base import INPUT_NAMES
from engine.kernels.places import nodes_along
from tests.engine.backends.sampling import gather, records, sampled_crop


def at(address: int, size: int) -> NDArray[np.uint8]:
    """Memory at an address, in place."""
    return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))


class Code(IntEnum):
    """What calls of the driver answer first."""

    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_VALUE = 1


class Copy:
    """A copy to the GPU."""

    def __init__(self, target: int, source: int, size: int) -> None:
        self.dstDevice, self.srcHost, self.WidthInBytes = target, source, size


class Machine:
    """A machine with such a GPU.

    Attributes:
        capability: Its compute capability.
        refuses_locking: The driver cannot lock memory of others.
    """

    def __init__(self) -> None:
        self.capability = (8, 9)
        self.recording: list[Copy | Callable[[], None]] | None = None
        self.captures = 0
        self.launches = 0
        self.contexts = 0
        self.events = 0
        self.uploaded: list[int] = []
        self.allocated: dict[int, NDArray[np.uint8]] = {}
        # Page-locked memory that is held; what is let go while no context is current stays.
        self.pinned = 0
        # Memory of others that is locked, by its address.
        self.locked: dict[int, int] = {}
        self.refuses_locking = False

    def submit(self, work: Copy | Callable[[], None]) -> None:
        """Run work, or record it."""
        if self.recording is not None:
            self.recording.append(work)
        elif isinstance(work, Copy):
            at(work.dstDevice, work.WidthInBytes)[...] = at(work.srcHost, work.WidthInBytes)
            self.uploaded.append(work.WidthInBytes)
        else:
            work()

    def pycuda(self) -> types.ModuleType:
        """`pycuda.driver`."""
        machine = self

        class Error(Exception):
            """Any failure."""

        class MemoryFullError(Error):
            """There is no room."""

        class Allocation:
            """Memory of the GPU."""

            def __init__(self, size: int) -> None:
                self.values = np.full(size, 0xA5, np.uint8)
                machine.allocated[int(self)] = self.values

            def __int__(self) -> int:
                return int(self.values.ctypes.data)

            def free(self) -> None:
                """Give it back."""
                del machine.allocated[int(self)]

        class Context:
            """The GPU's context."""

            def push(self) -> None:
                """Make it current."""
                machine.contexts += 1

            def pop(self) -> None:
                """Make it current no more."""
                machine.contexts -= 1

            def detach(self) -> None:
                """Give it back."""

        class Device:
            """The GPU."""

            def __init__(self, ordinal: int) -> None:
                assert ordinal == 0

            def retain_primary_context(self) -> Context:
                """Its context."""
                return Context()

        class Stream:
            """A stream."""

            handle = 7

            def synchronize(self) -> None:
                """Wait."""
                assert machine.recording is None
                assert machine.contexts

        class Event:
            """A place in a stream."""

            def record(self, stream: Stream) -> None:
                """Put it there."""
                assert isinstance(stream, Stream)
                self.number = machine.events
                machine.events += 1

            def time_since(self, before: Event) -> float:
                """Milliseconds."""
                return float(self.number - before.number)

        def upload(address: int, source: NDArray[np.uint8], stream: Stream) -> None:
            assert isinstance(stream, Stream)
            machine.submit(Copy(address, source.ctypes.data, source.nbytes))

        def download(target: NDArray[np.uint8], address: int, stream: Stream) -> None:
            assert isinstance(stream, Stream)
            machine.submit(lambda: np.copyto(target, at(address, target.nbytes)))

        def fill(allocation: Allocation, value: int, size: int) -> None:
            allocation.values[:size] = value

        def let_go() -> None:
            machine.pinned -= machine.contexts > 0

        def pinned(size: int, kind: type[np.generic]) -> NDArray[Any]:
            memory = np.zeros(size, kind)
            machine.pinned += 1
            weakref.finalize(memory, let_go)
            return memory

        module: Any = types.ModuleType("pycuda.driver")
        module.Error, module.MemoryError = Error, MemoryFullError
        module.init = lambda: None
        module.Device, module.Stream, module.mem_alloc, module.memset_d8 = Device, Stream, Allocation, fill
        module.pagelocked_zeros, module.Event = pinned, Event
        module.mem_get_info = lambda: (1000, 1000 + sum(held.nbytes for held in machine.allocated.values()))
        module.memcpy_htod_async, module.memcpy_dtoh_async = upload, download
        return module  # type: ignore[no-any-return]

    def driver(self) -> types.ModuleType:
        """`cuda.bindings.driver`, as far as graphs need it."""
        machine = self
        module: Any = types.ModuleType("cuda.bindings.driver")

        class Modes:
            """How to capture."""

            CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1

        class Attributes:
            """Of devices."""

            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = "major"
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = "minor"

        def begin(_stream: int, _mode: int) -> tuple[Code]:
            assert machine.recording is None
            machine.recording = []
            return (Code.CUDA_SUCCESS,)

        def end(_stream: int) -> tuple[Code, Any]:
            graph, machine.recording = machine.recording, None
            machine.captures += 1
            return Code.CUDA_SUCCESS, graph

        def capability(kind: str, _device: int) -> tuple[Code, int]:
            return Code.CUDA_SUCCESS, dict(zip(("major", "minor"), machine.capability, strict=True))[kind]

        def nodes(graph: list[Any], count: int) -> tuple[Code, list[Any], int]:
            return Code.CUDA_SUCCESS, graph[:count], len(graph)

        def lock(address: int, size: int, flags: int) -> tuple[Code]:
            assert flags == 3
            assert machine.contexts
            if machine.refuses_locking or address in machine.locked:
                return (Code.CUDA_ERROR_INVALID_VALUE,)
            machine.locked[address] = size
            return (Code.CUDA_SUCCESS,)

        def unlock(address: int) -> tuple[Code]:
            assert machine.contexts
            return (Code.CUDA_SUCCESS if machine.locked.pop(address, 0) else Code.CUDA_ERROR_INVALID_VALUE,)

        def push(_context: int) -> tuple[Code]:
            machine.contexts += 1
            return (Code.CUDA_SUCCESS,)

        def pop() -> tuple[Code, int]:
            machine.contexts -= 1
            return Code.CUDA_SUCCESS, 1

        def launch(graph: list[Any], _stream: int) -> tuple[Code]:
            machine.launches += 1
            for node in graph:
                machine.submit(node)
            return (Code.CUDA_SUCCESS,)

        module.CUstreamCaptureMode, module.CUdevice_attribute = Modes, Attributes
        module.CUstream = int
        module.cuCtxGetCurrent = lambda: (Code.CUDA_SUCCESS, 1)
        module.cuStreamBeginCapture, module.cuStreamEndCapture, module.cuGraphGetNodes = begin, end, nodes
        module.cuCtxPushCurrent, module.cuCtxPopCurrent = push, pop
        module.cuMemHostRegister, module.cuMemHostUnregister = lock, unlock
        module.cuMemHostGetDevicePointer = lambda address, _flags: (Code.CUDA_SUCCESS, address)
        module.cuGraphInstantiate = lambda graph, _flags: (Code.CUDA_SUCCESS, graph)
        module.cuGraphLaunch = launch
        module.cuGraphExecDestroy = module.cuGraphDestroy = lambda _graph: (Code.CUDA_SUCCESS,)
        module.cuInit = lambda _flags: (Code.CUDA_SUCCESS,)
        module.cuDeviceGetCount = lambda: (Code.CUDA_SUCCESS, 1)
        module.cuDeviceGet = lambda ordinal: (Code.CUDA_SUCCESS, ordinal)
        module.cuDeviceGetName = lambda size, _device: (Code.CUDA_SUCCESS, b"Host GPU".ljust(size, b"\0"))
        module.cuDeviceGetAttribute = capability
        module.cuDriverGetVersion = lambda: (Code.CUDA_SUCCESS, 13000)
        return module  # type: ignore[no-any-return]

    def kernels(self) -> Any:
        """`KernelLibrary`."""
        machine = self

        class Kernels:
            """Fetches pixels and samples crops, slowly."""

            def gather_pixels(self, stream: int, places: int, pixels: int, *, count: int) -> None:
                """Fetch pixels."""
                assert stream == 7
                machine.submit(lambda: gather(records(places, count), self._held(pixels)))

            def sample_crops(
                self, stream: int, pixels: int, places: int, nodes: int, crops: int, *, count: int, size_px: int
            ) -> None:
                """Sample crops."""
                assert stream == 7

                def work() -> None:
                    along = nodes_along(size_px)
                    put = at(crops, count * size_px * size_px * 3).reshape(count, size_px, size_px, 3)
                    found = records(places, count)
                    grid = at(nodes, count * along * along * 8).view(np.float32).reshape(count, along, along, 2)
                    buffer = self._held(pixels)
                    for index in range(count):
                        put[index] = sampled_crop(buffer, found[index], grid[index], size_px)

                machine.submit(work)

            def close(self) -> None:
                """Unload."""

            @staticmethod
            def _held(pixels: int) -> NDArray[np.uint8]:
                return next(held for start, held in machine.allocated.items() if start <= pixels < start + held.nbytes)

        return Kernels

    def tensorrt(self) -> types.ModuleType:
        """`tensorrt`: a plan is the graph."""
        machine = self
        module: Any = types.ModuleType("tensorrt")

        class Logger:
            """Takes messages."""

            INTERNAL_ERROR, ERROR, WARNING, INFO = range(4)

        class Parser:
            """Takes a graph."""

            num_errors = 0

            def __init__(self, network: dict[str, bytes], _log: Any) -> None:
                self._network = network

            def parse(self, content: bytes) -> bool:
                """Take it."""
                self._network["content"] = content
                return True

        class Timing:
            """What was measured."""

            def __init__(self, content: bytes) -> None:
                self.content = content

            def serialize(self) -> bytes:
                """What to keep."""
                return self.content + b"measured "

        class Config:
            """How to build."""

            progress_monitor: Any = None
            timing: Timing

            def clear_flag(self, flag: str) -> None:
                """Forbid."""
                assert flag == "TF32"

            def set_memory_pool_limit(self, _pool: int, _size: int) -> None:
                """Limit."""

            def create_timing_cache(self, content: bytes) -> Timing:
                """What was measured before."""
                return Timing(content)

            def set_timing_cache(self, cache: Timing, _ignore_mismatch: bool) -> bool:
                """Use it."""
                self.timing = cache
                module.timings.append(cache.content)
                return True

        class Builder:
            """Builds."""

            def __init__(self, log: Any) -> None:
                self._log = log

            def create_network(self, _flags: int) -> dict[str, bytes]:
                """An empty network."""
                return {}

            def create_builder_config(self) -> Config:
                """How to build."""
                return Config()

            def build_serialized_network(self, network: dict[str, bytes], config: Config) -> bytes | None:
                """The plan."""
                module.builds += 1
                watch = config.progress_monitor
                if module.fails:
                    self._log.log(Logger.ERROR, "no kernel for the node")
                    return None
                if watch is not None:
                    watch.phase_start("Building engine", None, 2)
                    watch.phase_start("Timing tactics", "Building engine", 4)
                    for step in range(4):
                        if not watch.step_complete("Timing tactics", step):
                            return None
                    watch.phase_finish("Timing tactics")
                    watch.step_complete("Building engine", 0)
                    watch.phase_finish("Building engine")
                return network["content"]

        class Context:
            """Runs a plan."""

            def __init__(self, session: ort.InferenceSession) -> None:
                self._session = session
                self._places: dict[str, int] = {}

            def set_tensor_address(self, name: str, address: int) -> bool:
                """Where a tensor is."""
                self._places[name] = address
                return any(
                    name == tensor.name for tensor in (*self._session.get_inputs(), *self._session.get_outputs())
                )

            def execute_async_v3(self, stream: int) -> bool:
                """Run it."""
                assert stream == 7
                machine.submit(self._run)
                return True

            def _run(self) -> None:
                feed = {}
                for tensor in self._session.get_inputs():
                    kind = np.dtype(np.uint8 if tensor.name == "crops" else np.float32)
                    size = int(np.prod(tensor.shape)) * kind.itemsize
                    feed[tensor.name] = at(self._places[tensor.name], size).view(kind).reshape(tensor.shape).copy()
                assert set(feed) == set(INPUT_NAMES)
                names = [tensor.name for tensor in self._session.get_outputs()]
                for name, answer in zip(names, self._session.run(names, feed), strict=True):
                    content = np.ascontiguousarray(answer).view(np.uint8).reshape(-1)
                    at(self._places[name], content.size)[...] = content

        class Engine:
            """A plan that was read."""

            def __init__(self, content: bytes) -> None:
                options = ort.SessionOptions()
                options.log_severity_level = 4
                options.intra_op_num_threads = 1
                self._session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])

            def create_execution_context(self) -> Context:
                """What runs it."""
                return Context(self._session)

        class Runtime:
            """Reads plans."""

            def __init__(self, _log: Any) -> None:
                pass

            def deserialize_cuda_engine(self, content: bytes) -> Engine:
                """Read one."""
                module.reads += 1
                return Engine(content)

        class Enumeration:
            """Names that stand for themselves."""

            WORKSPACE = 0
            TF32 = "TF32"
            DETAILED = 2

        module.__version__ = "11.4.0.106"
        module.builds = module.reads = 0
        module.timings, module.fails = [], False
        module.ILogger = Logger
        module.NetworkDefinitionCreationFlag = module.MemoryPoolType = module.BuilderFlag = Enumeration
        module.ProfilingVerbosity, module.IProgressMonitor = Enumeration, object
        module.Builder, module.OnnxParser, module.Runtime = Builder, Parser, Runtime
        return module  # type: ignore[no-any-return]

    def install(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Put the stand-ins where imports find them; the `tensorrt` module."""
        trt, driver = self.tensorrt(), self.driver()
        for name, module in {
            "tensorrt": trt,
            "pycuda": types.ModuleType("pycuda"),
            "pycuda.driver": self.pycuda(),
            "cuda": types.ModuleType("cuda"),
            "cuda.bindings": types.ModuleType("cuda.bindings"),
            "cuda.bindings.driver": driver,
        }.items():
            monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setattr(sys.modules["cuda.bindings"], "driver", driver, raising=False)
        monkeypatch.setattr("engine.backends.tensorrt_backend.KernelLibrary", self.kernels())
        monkeypatch.setattr("engine.backends.gpu_device._KERNEL_DRIVER", _Missing())
        return trt


class _Missing:
    """A file that is not there."""

    def read_text(self, **_options: Any) -> str:
        """Read it."""
        raise FileNotFoundError


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A machine with a GPU; nothing is left on it afterwards."""
    made = Machine()
    yield made
    assert made.contexts == 0
