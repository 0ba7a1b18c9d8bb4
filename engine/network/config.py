"""Sizes and switches of the network; every ablation of the paper's Tab. 1, 4 and 5 is one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from engine.errors import EngineError

JOINTS: Final = 21
"""Joints of a hand, canonical order; the paper's k."""


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """What network is built.

    Args:
        name: What it is called.
        backbone: One of `engine.network.backbones.BACKBONES` (sec. 3.1).
        input_px: Side of a crop, a multiple of 32.
        light_decoder: Depthwise-separable convolutions in the decoder.
        feature_channels: Channels of F_ms at an eighth of the crop's resolution.
        pose_channels: D_p, what SAIGB gives a joint (eq. 3); its other D_a channels are F_ms's.
        fusion_channels: Width of adaptive GCN and CASA (sec. 3.2), and of F_fuse.
        fusion_rounds: Rounds of GCN and CASA.
        attention_heads: Heads of CASA and of temporal attention.
        flow_layers: Coupling layers of the RealNVP (sec. 3.3).
        flow_channels: Hidden width of a coupling layer.
        hypotheses: M, random samples of each view's joints.
        point_channels: Width of the point features F_P and of STPT.
        blocks: K, STPT blocks (sec. 3.5); 0 is without STPT.
        spatial_neighbors: kNN of a query point among the query points, itself included.
        anchor_neighbors: kNN of a query point among the anchors.
        temporal_frames: Frames that temporal attention sees, the frame itself included.
        lookahead: How many of them lie in the future; 0 streams, 2 of 5 is the paper's centred window.
        use_trunk_joints: The trunk's own reading of the joints is evidence too; for trunks that have one.
        use_heatmap: Off: all confidences are 1 and joints are regressed (Tab. 1, w/o hmap).
        use_projection: Off: points carry F_fuse and nothing sampled at their projections (Tab. 1, w/o proj).
        use_gcn: Off: no adaptive GCN (Tab. 4).
        use_casa: Off: no confidence-aware self-attention (Tab. 4).
        use_spatial_attention: Off: STPT without eq. 9 (Tab. 4).
        use_temporal_attention: Off: STPT without eq. 10 (Tab. 4).
        use_cross_attention: Off: STPT without eq. 11 (Tab. 4).
    """

    name: str = "lite"
    backbone: str = "mediapipe-full"
    input_px: int = 224
    light_decoder: bool = True
    feature_channels: int = 64
    pose_channels: int = 64
    fusion_channels: int = 128
    fusion_rounds: int = 2
    attention_heads: int = 4
    flow_layers: int = 4
    flow_channels: int = 64
    hypotheses: int = 16
    point_channels: int = 96
    blocks: int = 4
    spatial_neighbors: int = 8
    anchor_neighbors: int = 16
    temporal_frames: int = 5
    lookahead: int = 0
    use_trunk_joints: bool = False
    use_heatmap: bool = True
    use_projection: bool = True
    use_gcn: bool = True
    use_casa: bool = True
    use_spatial_attention: bool = True
    use_temporal_attention: bool = True
    use_cross_attention: bool = True

    def __post_init__(self) -> None:
        if self.input_px < 64 or self.input_px % 32:
            raise EngineError(f"input_px is {self.input_px}; use a multiple of 32 from 64 on")
        for name in ("fusion_channels", "point_channels"):
            if getattr(self, name) % self.attention_heads:
                raise EngineError(f"{name} is {getattr(self, name)}; {self.attention_heads} heads must divide it")
        if self.feature_channels % 4:
            raise EngineError(f"feature_channels is {self.feature_channels}; the positional encoding needs fours")
        if not 0 <= self.lookahead < self.temporal_frames:
            raise EngineError(f"lookahead is {self.lookahead}; it must lie in 0..{self.temporal_frames - 1}")
        if not 2 <= self.spatial_neighbors <= JOINTS:
            raise EngineError(f"spatial_neighbors is {self.spatial_neighbors}; it must lie in 2..{JOINTS}")
        if not 2 <= self.anchor_neighbors <= JOINTS * self.hypotheses:
            raise EngineError(
                f"anchor_neighbors is {self.anchor_neighbors}; {self.hypotheses} hypotheses make only "
                f"{JOINTS * self.hypotheses} anchors"
            )

    @property
    def past(self) -> int:
        """Frames before the present one that temporal attention sees: the state's length."""
        return self.temporal_frames - 1 - self.lookahead

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as a plain map."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NetworkConfig:
        """Read settings back.

        Raises:
            EngineError: If a setting is not known or of another type, which another version wrote.
        """
        known = {field.name: field for field in fields(cls)}
        if unknown := sorted(set(values) - set(known)):
            raise EngineError(f"network setting {unknown[0]!r} is not known; use the version that wrote it")
        for name, value in values.items():
            if type(value).__name__ != known[name].type:
                raise EngineError(f"network setting {name} is {value!r}; it must be {known[name].type}")
        return cls(**values)


PRESETS: Final[Mapping[str, NetworkConfig]] = {
    "lite": NetworkConfig(use_trunk_joints=True),
    "resnet34": NetworkConfig(
        name="resnet34",
        backbone="resnet34",
        input_px=256,
        light_decoder=False,
        feature_channels=128,
        pose_channels=128,
        fusion_channels=256,
        hypotheses=32,
        point_channels=128,
    ),
}
"""The networks that have a name: real time on a plain CPU, and the paper's."""


def preset(name: str) -> NetworkConfig:
    """Return a network by its name.

    Raises:
        EngineError: If there is none of that name.
    """
    if name not in PRESETS:
        raise EngineError(f"network {name!r} is not known; use {' or '.join(PRESETS)}")
    return PRESETS[name]
