"""TensorRT or TensorRT-RTX, whichever is installed, and the few things that differ between them.

TensorRT-RTX has TensorRT's interface. It differs in this: it compiles its kernels for a GPU when a plan is first run,
not when it is built, so that it builds without a GPU and keeps what it compiled in a runtime cache instead of a timing
cache; it must be told the compute capability that a plan is for; and it takes no plugins from Python.
"""

from __future__ import annotations

import importlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engine.backends.gpu_device import Gpu, find_gpu
from engine.errors import EngineError
from engine.kernels.driver import kernels_reason

INSTALL: Final = "pip install 'usthand[gpu]'"

# The package, then the module that its bindings' wheel alone brings.
_MODULES: Final = {
    "tensorrt": ("tensorrt", "tensorrt_bindings"),
    "tensorrt-rtx": ("tensorrt_rtx", "tensorrt_rtx_bindings"),
}
_LEAST_VERSION: Final = {"tensorrt": (10, 13), "tensorrt-rtx": (1, 2)}
_LEAST_CAPABILITY: Final = (7, 5)
_RTX_CAPABILITIES: Final = ((7, 5), (8, 0), (8, 6), (8, 9), (12, 0), (12, 1))
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, slots=True)
class TensorrtLibrary:
    """A library that builds and runs plans.

    Args:
        name: `tensorrt` or `tensorrt-rtx`.
        version: Its version.
        module: Its Python module.
        plugins: Its module for plugins in Python, `tensorrt.plugin`; None where it takes none.
    """

    name: str
    version: str
    module: Any
    plugins: Any | None

    @property
    def is_rtx(self) -> bool:
        """Whether kernels are compiled when a plan is run."""
        return self.name == "tensorrt-rtx"

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def logger(self) -> Any:
        """What its messages go to: this project's log, its own chatter as debug."""
        trt: Any = self.module

        class Log(trt.ILogger):  # type: ignore[misc] # a class of an untyped module
            """Passes messages on."""

            def __init__(self) -> None:
                trt.ILogger.__init__(self)
                self.last_error = ""

            def log(self, severity: Any, message: str) -> None:
                """Take a message."""
                if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                    self.last_error = message
                    _LOG.error("%s: %s", self_name, message)
                elif severity == trt.ILogger.WARNING:
                    _LOG.info("%s: %s", self_name, message)
                else:
                    _LOG.debug("%s: %s", self_name, message)

        self_name = self.name
        return Log()


def find_library() -> TensorrtLibrary:
    """Import TensorRT, or else TensorRT-RTX.

    Raises:
        EngineError: If neither is installed, or it is too old.
    """
    for name, modules in _MODULES.items():
        for module_name in modules:
            try:
                module = importlib.import_module(module_name)
            except ModuleNotFoundError:
                continue
            except (ImportError, OSError) as error:
                raise EngineError(f"{name} is installed but does not load ({error}); {INSTALL}") from error
            version = str(module.__version__)
            least = _LEAST_VERSION[name]
            if tuple(int(part) for part in version.split(".")[:2]) < least:
                wanted = ".".join(str(part) for part in least)
                raise EngineError(f"{name} {version} is too old; {wanted} or newer is needed: {INSTALL}")
            return TensorrtLibrary(name, version, module, _plugins(module_name))
    raise EngineError(f"neither tensorrt nor tensorrt-rtx is installed: {INSTALL}")


def _plugins(module_name: str) -> Any | None:
    try:
        return importlib.import_module(f"{module_name}.plugin")
    except ImportError:
        return None


def tensorrt_reason() -> str | None:
    """Why no plan can be run here; None if one can."""
    try:
        library = find_library()
        _require("onnx", "onnx")
        _require("pycuda.driver", "pycuda")
        gpu = find_gpu()
    except EngineError as error:
        return str(error)
    return capability_reason(library, gpu) or kernels_reason()


def capability_reason(library: TensorrtLibrary, gpu: Gpu) -> str | None:
    """Why a library does not run on a GPU; None if it does."""
    if gpu.capability < _LEAST_CAPABILITY:
        return f"{gpu.name} has compute capability {gpu.capability_text}; {library} needs 7.5 or newer"
    if library.is_rtx and gpu.capability not in _RTX_CAPABILITIES:
        known = ", ".join(f"{major}.{minor}" for major, minor in _RTX_CAPABILITIES)
        return (
            f"{gpu.name} has compute capability {gpu.capability_text}; {library} is made for {known}: install "
            "tensorrt instead"
        )
    return None


def _require(module: str, package: str) -> None:
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise EngineError(f"the package {package} is missing or does not load ({error}); {INSTALL}") from error


def strongly_typed_network(library: TensorrtLibrary, builder: Any) -> Any:
    """An empty network that takes its types from the graph."""
    flag = library.module.NetworkDefinitionCreationFlag
    # From TensorRT 11 on every network is so, and some day the flag will be gone.
    typed = getattr(flag, "STRONGLY_TYPED", None)
    return builder.create_network(0 if typed is None else 1 << int(typed))


def aim_at(library: TensorrtLibrary, config: Any, capability: tuple[int, int] | None) -> None:
    """Say which compute capability a plan is built for; None is the GPU in this machine.

    Raises:
        EngineError: If the library cannot build for it.
    """
    if not library.is_rtx:
        if capability is not None:
            raise EngineError(f"{library} builds for the GPU in this machine only; leave --compute-capability out")
        return
    if capability is None:
        return
    wanted = f"SM{capability[0]}{capability[1]}"
    target = getattr(library.module.ComputeCapability, wanted, None)
    if target is None:
        known = ", ".join(f"{major}.{minor}" for major, minor in _RTX_CAPABILITIES)
        raise EngineError(
            f"{library} cannot build for compute capability {capability[0]}.{capability[1]}; give one of {known}"
        )
    config.num_compute_capabilities = 1
    config.set_compute_capability(target, 0)


def _kept(path: Path) -> bytes:
    """What a file of a cache holds; nothing where there is none, or none that may be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


class TimingCache:
    """What TensorRT measured of its kernels, kept in a file: the next build measures only what is new.

    Args:
        library: TensorRT-RTX measures nothing and has none.
        config: Of the build.
        path: The file.
    """

    def __init__(self, library: TensorrtLibrary, config: Any, path: Path) -> None:
        self._cache: Any = None
        if library.is_rtx:
            return
        content = _kept(path)
        self._cache = config.create_timing_cache(content)
        if self._cache is None or not config.set_timing_cache(self._cache, False):
            # Of another version or GPU: measured anew.
            self._cache = config.create_timing_cache(b"")
            config.set_timing_cache(self._cache, False)

    def content(self) -> bytes | None:
        """What to keep; None if nothing."""
        return None if self._cache is None else bytes(self._cache.serialize())


class RuntimeCache:
    """What TensorRT-RTX compiled for this GPU, kept in a file: the next start compiles nothing.

    Args:
        library: TensorRT compiles when it builds and has none.
        engine: A deserialised plan.
        path: The file.

    Attributes:
        kept: Whether the file holds what could be used.
    """

    def __init__(self, library: TensorrtLibrary, engine: Any, path: Path) -> None:
        self.path = path
        self.kept = False
        self._engine = engine
        self._config: Any = None
        self._cache: Any = None
        if not library.is_rtx:
            return
        self._config = engine.create_runtime_config()
        self._cache = self._config.create_runtime_cache()
        content = _kept(path)
        self.kept = bool(content) and bool(self._cache.deserialize(content))
        self._config.set_runtime_cache(self._cache)
        # The whole frame is captured by us, with its copies.
        self._config.cuda_graph_strategy = library.module.CudaGraphStrategy.DISABLED

    def context(self) -> Any:
        """What runs the plan, once at a time."""
        if self._config is None:
            return self._engine.create_execution_context()
        return self._engine.create_execution_context(runtime_config=self._config)

    def content(self) -> bytes | None:
        """What to keep; None if nothing."""
        return None if self._cache is None else bytes(self._cache.serialize())
