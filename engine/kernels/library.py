"""The compiled kernels, loaded into a CUDA context and launched on a stream, by raw pointers.

Nothing is allocated and nothing is waited for, so that launches can be captured in a CUDA graph. Who owns context,
stream and memory does not matter: PyTorch, pycuda and CUDA's own driver interface all hand out the same handles.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Sequence
from typing import Any, Final

from engine.errors import EngineError
from engine.kernels.build import BINARY, CARD, DATA, PLUGIN_PTX
from engine.kernels.driver import capability_of, check_capability, checked, import_driver, no_driver

MOST_NEIGHBORS: Final = 32
KNN_POINTS: Final = (32, 384, 672, 1344)
"""So many points hold the variants of the nearest-points kernel."""

MOST_POINTS: Final = KNN_POINTS[-1]
MOST_VIEWS: Final = 8
"""Views that the flow's kernel triangulates from."""

CROP_MULTIPLE_PX: Final = 32
"""The side of a crop that the crops' kernel makes is a multiple of this."""

MOST_MAP_CHANNELS: Final = 128
"""Maps that the kernels of maps read have at most so many channels, and a multiple of four."""

MOST_POINT_VIEWS: Final = 16
"""So many views the kernel of points joins at most."""

_WARP: Final = 32
_CROPS: Final = "usthand_sample_crops"
_FLOW_CONDITIONS: Final = "usthand_flow_conditions"
_CONDITION_THREADS: Final = 288
_ROWS_A_BLOCK: Final = 4
_FLOW_CLOUD: Final = "usthand_flow_cloud"
_FLOW_THREADS: Final = 384
_POINTS_A_BLOCK: Final = 8
_MANO_INPUT: Final = "usthand_mano_input"
_MANO: Final = "usthand_mano"
_HAND_THREADS: Final = 256
_HEATMAP_PARTS: Final = "usthand_heatmap_parts"
_HEATMAP_JOINTS: Final = "usthand_heatmap_joints"
_HEATMAP_TILE: Final = 64
_HEATMAP_THREADS: Final = 192
_SAMPLE_MAPS: Final = "usthand_sample_maps"
_SAMPLES_A_BLOCK: Final = 4
_SEE_POINTS: Final = "usthand_see_points"
_GATHER: Final = "usthand_gather_pixels"
_GATHER_BLOCKS: Final = 32
_GATHER_THREADS: Final = 128
INTERACTION_CHANNELS: Final = (128, 256)
"""So wide is the feature interaction that has kernels."""

INTERACTION_VIEWS: Final = 8
"""Views that its kernels take at most."""

STPT_CHANNELS: Final = (96, 128)
"""So wide are the blocks of STPT that have kernels."""

STPT_NEIGHBORS: Final = 16
"""Anchors that a query point looks at; no fewer may be there."""

_STPT: Final = ("usthand_stpt_start", "usthand_stpt_refine")
_INTERACTION: Final = ("usthand_interaction_convolve", "usthand_interaction_attend", "usthand_interaction_finish")
# A view's joints are shared out to so many blocks; tokens of the attention so many to a block.
_VIEW_TILES: Final = 3
_QUERY_TOKENS: Final = 3
_JOINTS: Final = 21
_LAYER_THREADS: Final = 256
_PIXELS_A_THREAD: Final = 4
_BLOCK_SIDE: Final = 8


def knn_kernel(points_count: int, wide: bool) -> str:
    """Name of the nearest-points kernel for so many points, with indices of 64 bits if `wide`, else of 32.

    Its grid is one block of 32 threads for each query of each batch; its arguments are the pointers to the queries, to
    the points and to the indices, and three 32-bit integers: queries of a batch, points of a batch, neighbours.

    Raises:
        EngineError: If no kernel holds so many points.
    """
    for held in KNN_POINTS:
        if points_count <= held:
            return f"usthand_knn_{held}_i{64 if wide else 32}"
    raise EngineError(f"nearest points of {points_count}: the kernel holds {MOST_POINTS} at most; use fewer hypotheses")


def knn_plugin_kernel(points_count: int) -> str:
    """The same for TensorRT, with indices of 32 bits and the integers before the pointer to the indices.

    Raises:
        EngineError: If no kernel holds so many points.
    """
    return f"{knn_kernel(points_count, False).rpartition('_')[0]}_plugin"


def knn_ptx(capability: tuple[int, int]) -> bytes:
    """PTX of the nearest-points kernels for GPUs of a compute capability, like (9, 0).

    Raises:
        EngineError: If the capability is below 7.5.
    """
    check_capability(capability, f"a GPU of compute capability {capability[0]}.{capability[1]}")
    newest = max(target for target in PLUGIN_PTX if target <= 10 * capability[0] + capability[1])
    return (DATA / PLUGIN_PTX[newest]).read_bytes()


def heatmap_parts(height: int, width: int) -> int:
    """How many parts the heatmaps' kernel makes of a joint's map of so many cells."""
    return -(-height * width // _WARP)


def _check_map_channels(channels: int) -> None:
    if channels % 4 or not 0 < channels <= MOST_MAP_CHANNELS:
        raise EngineError(
            f"maps of {channels} channels: the kernels read multiples of 4, and {MOST_MAP_CHANNELS} at most"
        )


def kernels_card() -> dict[str, Any]:
    """What the compiled kernels were made of: nvcc's version, targets and digests."""
    card: dict[str, Any] = json.loads((DATA / CARD).read_text(encoding="utf-8"))
    return card


class KernelLibrary:
    """The kernels in the CUDA context that is current when this is made.

    Args:
        driver: `cuda.bindings.driver`, or something that answers as it does; None imports it.

    Raises:
        EngineError: If cuda-bindings or the driver is missing, no context is current, the GPU is too old, or the
            kernels do not load.
    """

    def __init__(self, driver: Any = None) -> None:
        self._driver = import_driver() if driver is None else driver
        self._module: Any = None
        try:
            device = self._call("cuCtxGetDevice")
        except RuntimeError as error:
            raise no_driver(error) from error
        self._context = self._call("cuCtxGetCurrent")
        check_capability(capability_of(self._driver, device), "the GPU")
        try:
            image = (DATA / BINARY).read_bytes()
        except OSError as error:
            raise EngineError(f"{DATA / BINARY} cannot be read ({error.strerror}); install usthand again") from error
        self._module = self._call("cuModuleLoadData", image)
        names = [knn_kernel(held, wide) for held in KNN_POINTS for wide in (False, True)]
        names += [_CROPS, _GATHER, _HEATMAP_PARTS, _HEATMAP_JOINTS, _SAMPLE_MAPS, _SEE_POINTS]
        names += [f"{name}_{channels}" for name in _STPT for channels in STPT_CHANNELS]
        names += [f"{name}_{channels}" for name in _INTERACTION for channels in INTERACTION_CHANNELS]
        names += [_FLOW_CONDITIONS, _FLOW_CLOUD, _MANO_INPUT, _MANO]
        self._functions = {name: self._call("cuModuleGetFunction", self._module, name.encode()) for name in names}

    def knn(
        self,
        stream: int,
        queries: int,
        points: int,
        indices: int,
        *,
        batch: int,
        queries_count: int,
        points_count: int,
        k: int,
        wide: bool,
    ) -> None:
        """Find each query's nearest points: by squared distance, the lower index first among equals, NaN last.

        Args:
            stream: Handle of a CUDA stream; 0 is the default one.
            queries: Device pointer to `(batch, queries_count, 3)` float32.
            points: Device pointer to `(batch, points_count, 3)` float32.
            indices: Device pointer to `(batch, queries_count, k)`, int64 if `wide`, else int32: written.
            batch: Sets of queries, each with points of its own.
            queries_count: Queries of a set.
            points_count: Points of a set.
            k: Neighbours, 1..32 and no more than there are points.
            wide: Whether the indices are int64.

        Raises:
            EngineError: If a size is outside of what the kernel takes, or the launch fails.
        """
        if not 1 <= k <= min(MOST_NEIGHBORS, points_count):
            raise EngineError(
                f"{k} nearest of {points_count} points: the kernel finds 1..{MOST_NEIGHBORS}, and at most all of them"
            )
        self._launch(
            knn_kernel(points_count, wide),
            (batch * queries_count, 1, 1),
            (_WARP, 1, 1),
            stream,
            (queries, points, indices),
            (queries_count, points_count, k),
        )

    def gather_pixels(self, stream: int, places: int, pixels: int, *, count: int) -> None:
        """Bring the rectangles of pictures out of the host's page-locked memory to where `sample_crops` reads them.

        Args:
            stream: Handle of a CUDA stream; 0 is the default one.
            places: Device pointer to `(count,)` of `PLACE`. Their sources must stay as they are until this has run;
                whole pieces of `SOURCE_ALIGNMENT` bytes are read, which no page ends within.
            pixels: Device pointer to the pixels, a multiple of `SOURCE_ALIGNMENT`: written.
            count: So many crops.

        Raises:
            EngineError: If the launch fails.
        """
        self._launch(_GATHER, (_GATHER_BLOCKS, count, 1), (_GATHER_THREADS, 1, 1), stream, (places, pixels), ())

    def sample_crops(
        self, stream: int, pixels: int, places: int, nodes: int, crops: int, *, count: int, size_px: int
    ) -> None:
        """Sample crops from rectangles of pictures, as `engine.crops.sample_crop` does, flipped if asked for, to RGB.

        Args:
            stream: Handle of a CUDA stream; 0 is the default one.
            pixels: Device pointer to the pixels, BGR bytes.
            places: Device pointer to `(count,)` of `PLACE`.
            nodes: Device pointer to `(count, G, G, 2)` float32, finite: where the crops' nodes lie in the pictures.
            crops: Device pointer to `(count, size_px, size_px, 3)` uint8 RGB: written.
            count: So many crops.
            size_px: Their side, a multiple of 32.

        Raises:
            EngineError: If a size is outside of what the kernel takes, or the launch fails.
        """
        if size_px < CROP_MULTIPLE_PX or size_px % CROP_MULTIPLE_PX:
            raise EngineError(f"crops of {size_px} px: the kernel makes multiples of {CROP_MULTIPLE_PX} px")
        self._launch(
            _CROPS,
            (size_px // (_PIXELS_A_THREAD * _BLOCK_SIDE), size_px // _BLOCK_SIDE, count),
            (_BLOCK_SIDE, _BLOCK_SIDE, 1),
            stream,
            (pixels, places, nodes, crops),
            (size_px,),
        )

    def heatmaps(
        self,
        stream: int,
        features: int,
        weight: int,
        bias: int,
        sharpness: int,
        parts: int,
        joints: int,
        confidence: int,
        samples: int,
        *,
        count: int,
        channels: int,
        height: int,
        width: int,
    ) -> None:
        """Find joints in maps, and what the maps show there, as `engine.kernels.maps_op.heatmap_joints` says it.

        Args:
            stream: Handle of a CUDA stream; 0 is the default one.
            features: Device pointer to `(count, height, width, channels)` float32, 16-byte aligned.
            weight: Device pointer to `(21, channels)` float32, 16-byte aligned.
            bias: Device pointer to `(21,)` float32.
            sharpness: Device pointer to one float32, positive.
            parts: Device pointer to `(count, 21, heatmap_parts(height, width), 4)` float32, 16-byte aligned: written.
            joints: Device pointer to `(count, 21, 2)` float32: written.
            confidence: Device pointer to `(count, 21)` float32: written.
            samples: Device pointer to `(count, 21, channels)` float32, 16-byte aligned: written.
            count: So many pictures.
            channels: A multiple of 4, at most 128.
            height: Cells.
            width: Cells.

        Raises:
            EngineError: If a size is outside of what the kernel takes, or a launch fails.
        """
        _check_map_channels(channels)
        self._launch(
            _HEATMAP_PARTS,
            (-(-height * width // _HEATMAP_TILE), count, 1),
            (_HEATMAP_THREADS, 1, 1),
            stream,
            (features, weight, bias, sharpness, parts),
            (channels, height, width),
        )
        self._launch(
            _HEATMAP_JOINTS,
            (_JOINTS * count, 1, 1),
            (_WARP, 1, 1),
            stream,
            (parts, features, sharpness, joints, confidence, samples),
            (channels, height, width),
        )

    def sample_maps(
        self,
        stream: int,
        maps: int,
        places: int,
        samples: int,
        *,
        count: int,
        channels: int,
        height: int,
        width: int,
        places_count: int,
    ) -> None:
        """Interpolate maps at places, as `engine.network.joint_graph.sample_features` does.

        Args:
            stream: Handle of a CUDA stream; 0 is the default one.
            maps: Device pointer to `(count, height, width, channels)` float32, 16-byte aligned.
            places: Device pointer to `(count, places_count, 2)` float32, crop coordinates.
            samples: Device pointer to `(count, places_count, channels)` float32, 16-byte aligned: written.
            count: So many maps.
            channels: A multiple of 4, at most 128.
            height: Cells.
            width: Cells.
            places_count: Places of a map.

        Raises:
            EngineError: If a size is outside of what the kernel takes, or the launch fails.
        """
        _check_map_channels(channels)
        self._launch(
            _SAMPLE_MAPS,
            (-(-places_count // _SAMPLES_A_BLOCK), count, 1),
            (channels // 4, _SAMPLES_A_BLOCK, 1),
            stream,
            (maps, places, samples),
            (height, width, places_count),
        )

    def see_points(
        self,
        stream: int,
        maps: int,
        across: int,
        down: int,
        projections: int,
        points: int,
        confidence: int,
        mask: int,
        rows: int,
        features: int,
        *,
        batch: int,
        channels: int,
        height: int,
        width: int,
        views: int,
        points_count: int,
    ) -> None:
        """Find what all views show where points project, as `engine.kernels.maps_op.see_points` says it.

        Args:
            stream: Handle of a CUDA stream; 0 is the default one.
            maps: Device pointer to `(batch, views, height, width, channels)` float32, 16-byte aligned.
            across: Device pointer to `(width, channels)` float32, 16-byte aligned.
            down: Device pointer to `(height, channels)` float32, 16-byte aligned.
            projections: Device pointer to `(batch, views, 3, 4)` float32.
            points: Device pointer to `(batch, points_count, 3)` float32.
            confidence: Device pointer to `(batch, views, points_count)` float32.
            mask: Device pointer to `(batch, views)` float32.
            rows: Device pointer to `(3, channels)` float32, 16-byte aligned.
            features: Device pointer to `(batch, points_count, channels)` float32, 16-byte aligned: written.
            batch: So many sets of points, each with views of its own.
            channels: A multiple of 4, at most 128.
            height: Cells.
            width: Cells.
            views: 1..16.
            points_count: Points of a set.

        Raises:
            EngineError: If a size is outside of what the kernel takes, or the launch fails.
        """
        _check_map_channels(channels)
        if not 0 < views <= MOST_POINT_VIEWS:
            raise EngineError(f"points in {views} views: the kernel joins 1..{MOST_POINT_VIEWS}")
        self._launch(
            _SEE_POINTS,
            (points_count, batch, 1),
            (_WARP * views, 1, 1),
            stream,
            (maps, across, down, projections, points, confidence, mask, rows, features),
            (channels, height, width, views, points_count),
        )

    def interaction_convolve(
        self, stream: int, pointers: Sequence[int], *, number: int, hands: int, views: int, channels: int
    ) -> None:
        """Run a round's graph convolution, and what its attention asks of each token (`interaction.cu`).

        Args:
            stream: Handle of a CUDA stream; 0 is the default one.
            pointers: Device pointers, all float32: the rounds' weights, as
                `engine.kernels.layouts.round_layout` says; tokens `(hands, views, 21, channels)` and their
                confidence. Then what is written: tokens, and queries, keys and values
                `(hands, views, 21, 3, channels)`.
            number: Of the round.
            hands: B.
            views: V.
            channels: One of `INTERACTION_CHANNELS`.

        Raises:
            EngineError: If the launch fails.
        """
        grid = (hands * views * _VIEW_TILES, 3, 1)
        name = f"{_INTERACTION[0]}_{channels}"
        self._launch(name, grid, (_LAYER_THREADS, 1, 1), stream, tuple(pointers), (number,))

    def interaction_attend(
        self, stream: int, pointers: Sequence[int], *, number: int, hands: int, views: int, channels: int
    ) -> None:
        """Run a round's attention over all joints of all views.

        Args:
            stream: Handle of a CUDA stream; 0 is the default one.
            pointers: Device pointers, all float32: the rounds' weights; what `interaction_convolve` wrote; the views'
                mask `(hands, views)`. Then what is written: tokens.
            number: Of the round.
            hands: B.
            views: V, at most `INTERACTION_VIEWS`.
            channels: One of `INTERACTION_CHANNELS`.

        Raises:
            EngineError: If there are more views, or the launch fails.
        """
        if not 1 <= views <= INTERACTION_VIEWS:
            raise EngineError(f"interaction of {views} views: its kernel takes 1..{INTERACTION_VIEWS}")
        grid = (hands * views * _JOINTS // _QUERY_TOKENS, 1, 1)
        name = f"{_INTERACTION[1]}_{channels}"
        self._launch(name, grid, (_LAYER_THREADS, 1, 1), stream, tuple(pointers), (number, views))

    def interaction_finish(
        self, stream: int, pointers: Sequence[int], *, hands: int, views: int, channels: int
    ) -> None:
        """Run the MLP that makes F_fuse of tokens.

        Args:
            stream: Handle of a CUDA stream; 0 is the default one.
            pointers: Device pointers, all float32: the MLP's weights, as `engine.kernels.layouts.last_layout`
                says; tokens `(hands, views, 21, channels)`. Then what is written: F_fuse.
            hands: B.
            views: V.
            channels: One of `INTERACTION_CHANNELS`.

        Raises:
            EngineError: If the launch fails.
        """
        grid = (hands * views * _VIEW_TILES, 1, 1)
        name = f"{_INTERACTION[2]}_{channels}"
        self._launch(name, grid, (_LAYER_THREADS, 1, 1), stream, tuple(pointers), ())

    def stpt_start(
        self, stream: int, weights: int, features: int, asked: int, *, points_count: int, channels: int
    ) -> None:
        """Make the query, the key and the value of each query point for the first block of STPT.

        Args:
            stream: Handle of a CUDA stream; 0 is the default one.
            weights: Device pointer to the blocks' weights, as `engine.kernels.layouts.stpt_layout` says.
            features: Device pointer to `(points_count, channels)` float32.
            asked: Device pointer to `(points_count, 3, channels)` float32: written.
            points_count: Query points of all hands.
            channels: One of `STPT_CHANNELS`.

        Raises:
            EngineError: If the launch fails.
        """
        self._launch(
            f"{_STPT[0]}_{channels}",
            (points_count, 1, 1),
            (_LAYER_THREADS, 1, 1),
            stream,
            (weights, features, asked),
            (),
        )

    def stpt_refine(
        self,
        stream: int,
        pointers: Sequence[int],
        *,
        points_count: int,
        anchors_count: int,
        number: int,
        count: int,
        channels: int,
    ) -> None:
        """Run one block of STPT (`stpt.cu`).

        Args:
            stream: Handle of a CUDA stream; 0 is the default one.
            pointers: Device pointers, all float32: the blocks' weights; the query points' places `(points_count, 3)`,
                features `(points_count, channels)` and what they ask `(points_count, 3, channels)`; the anchors' places
                `(hands, anchors_count, 3)`, keys and values `(hands, anchors_count, count, 2, channels)`; which frames
                are valid `(hands, 5)`; the state `(hands, count, 2, 4, 21, channels)`. Then what is written: places,
                features, what they ask in the next block, and the state's part of this block.
            points_count: Query points of all hands, 21 each.
            anchors_count: Anchors of a hand, from 16 on.
            number: Of the block.
            count: Blocks.
            channels: One of `STPT_CHANNELS`.

        Raises:
            EngineError: If there are more anchors than the kernel takes, or the launch fails.
        """
        if not STPT_NEIGHBORS <= anchors_count <= MOST_POINTS:
            raise EngineError(f"STPT among {anchors_count} anchors: its kernel takes {STPT_NEIGHBORS}..{MOST_POINTS}")
        self._launch(
            f"{_STPT[1]}_{channels}",
            (points_count, 1, 1),
            (_LAYER_THREADS, 1, 1),
            stream,
            tuple(pointers),
            (anchors_count, number, count),
        )

    def flow_conditions(self, stream: int, *pointers: int, rows: int, channels: int) -> None:
        """Make what the flow's couplings are conditioned on.

        Args:
            stream: Handle of a CUDA stream; 0 is the default one.
            pointers: Device pointers to F_fuse, weight and bias of the first layer and of the second, and to what is
                written. `flow.cu` has their shapes.
            rows: Joints of all views of all hands.
            channels: Of F_fuse: a multiple of 16, 256 at most.

        Raises:
            EngineError: If the launch fails.
        """
        blocks = -(-rows // _ROWS_A_BLOCK)
        self._launch(_FLOW_CONDITIONS, (blocks, 1, 1), (_CONDITION_THREADS, 1, 1), stream, pointers, (rows, channels))

    def flow_cloud(self, stream: int, *pointers: int, hands: int, views: int, hypotheses: int) -> None:
        """Make the flow's joints of each view and triangulate them.

        Args:
            stream: Handle of a CUDA stream; 0 is the default one.
            pointers: Device pointers to conditions, centers, noise, confidence, view mask, projections and the flow's
                two weights, then to what is written: keypoints, points, the hand's axes, and start and anchors in its
                frame. `flow.cu` has their shapes.
            hands: N.
            views: V, `MOST_VIEWS` at most.
            hypotheses: M.

        Raises:
            EngineError: If there are more views than the kernel takes, or the launch fails.
        """
        if not 1 <= views <= MOST_VIEWS:
            raise EngineError(f"{views} views: the kernel takes 1..{MOST_VIEWS}")
        blocks = -(-_JOINTS * (1 + hypotheses) // _POINTS_A_BLOCK)
        self._launch(_FLOW_CLOUD, (blocks, hands, 1), (_FLOW_THREADS, 1, 1), stream, pointers, (views, hypotheses))

    def mano_input(self, stream: int, *pointers: int, hands: int, channels: int) -> None:
        """Make what MANO's head reads.

        Args:
            stream: Handle of a CUDA stream; 0 is the default one.
            pointers: Device pointers to joints, features, weight and bias of the norm, those of the embedding, and to
                what is written: `(hands, 21, 35)`. `mano.cu` has their shapes.
            hands: N.
            channels: Of the features: 32, 64, 96 or 128.

        Raises:
            EngineError: If the launch fails.
        """
        self._launch(_MANO_INPUT, (_JOINTS, hands, 1), (channels, 1, 1), stream, pointers, ())

    def mano(self, stream: int, *pointers: int, hands: int, posed: bool) -> None:
        """Make hands of joints and of what MANO's head says.

        Args:
            stream: Handle of a CUDA stream; 0 is the default one.
            pointers: Device pointers to joints, parameters, rest points and their directions, tips' weights and pose
                directions, then to what is written: joints, rotations, shape, translation, rest points, global
                rotations and MANO's joints. `mano.cu` has their shapes.
            hands: N.
            posed: Whether tips have pose directions; the pointer to them is not read if not.

        Raises:
            EngineError: If the launch fails.
        """
        self._launch(_MANO, (hands, 1, 1), (_HAND_THREADS, 1, 1), stream, pointers, (int(posed),))

    def close(self) -> None:
        """Unload the kernels; their context must be current."""
        if self._module is not None:
            module, self._module = self._module, None
            self._call("cuModuleUnload", module)

    def _launch(
        self,
        name: str,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        stream: int,
        pointers: tuple[int, ...],
        numbers: tuple[int, ...],
    ) -> None:
        if self._module is None:
            raise EngineError(f"{name} is unloaded; make another KernelLibrary")
        if 0 in grid:
            return
        values = [*map(ctypes.c_void_p, pointers), *map(ctypes.c_int32, numbers)]
        # Read before the call returns, also when it is captured in a graph.
        addresses = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values))
        # A thread that has not used CUDA yet has no context, whoever made the memory.
        elsewhere = int(self._call("cuCtxGetCurrent")) != int(self._context)
        if elsewhere:
            self._call("cuCtxPushCurrent", self._context)
        try:
            self._call(
                "cuLaunchKernel",
                self._functions[name],
                *grid,
                *block,
                0,
                stream,
                ctypes.addressof(addresses),
                0,
                of=name,
            )
        finally:
            if elsewhere:
                self._call("cuCtxPopCurrent")

    def _call(self, name: str, *arguments: Any, of: str = "") -> Any:
        return checked(getattr(self._driver, name)(*arguments), f"{name} of {of}" if of else name)
