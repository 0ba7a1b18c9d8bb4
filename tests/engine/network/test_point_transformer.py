"""Eq. 8-12: point features, kNN, and the three attentions of STPT, against loops."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from engine.network.config import NetworkConfig  # noqa: E402
from engine.network.joint_graph import sample_features  # noqa: E402
from engine.network.point_cloud import PointFeatures, sine_encoding  # noqa: E402
from engine.network.point_transformer import (  # noqa: E402
    PointTransformer,
    StptBlock,
    TemporalAttention,
    VectorAttention,
    first_rows,
    nearest,
)

pytestmark = pytest.mark.usefixtures("no_grad")

SMALL = NetworkConfig(
    input_px=64, feature_channels=8, fusion_channels=16, point_channels=16, attention_heads=2, hypotheses=4, blocks=2
)


def test_nearest_is_brute_force() -> None:
    torch.manual_seed(0)
    queries, points = torch.randn(2, 21, 3), torch.randn(2, 84, 3)
    found = nearest(queries, points, 16)
    for b in range(2):
        for i in range(21):
            distances = sorted((math.dist(queries[b, i].tolist(), points[b, j].tolist()), j) for j in range(84))
            assert found[b, i].tolist() == [j for _, j in distances[:16]]


def test_vector_attention_against_a_loop() -> None:
    torch.manual_seed(0)
    attention = VectorAttention(6)
    queries, points = torch.randn(2, 3, 6), torch.randn(2, 7, 6)
    query_places, point_places = torch.randn(2, 3, 3), torch.randn(2, 7, 3)
    indices = nearest(query_places, point_places, 4)
    seen = attention(queries, query_places, points, point_places, indices, first_rows(points))
    for b in range(2):
        for i in range(3):
            logits, values = [], []
            q = attention.to_query(attention.norm(queries[b, i]))
            for j in indices[b, i].tolist():
                k, v = attention.to_key_value(points[b, j]).split(6)
                delta = attention.position(query_places[b, i] - point_places[b, j])
                logits.append(attention.weight(q - k + delta))
                values.append(v + delta)
            weights = torch.stack(logits).exp()
            weights = weights / weights.sum(dim=0)
            expected = queries[b, i] + attention.to_out((weights * torch.stack(values)).sum(dim=0))
            assert torch.allclose(seen[b, i], expected, atol=1e-5)


@pytest.mark.parametrize(("past", "lookahead"), [(4, 0), (2, 2), (0, 0)], ids=["causal", "centred", "one frame"])
def test_temporal_attention_against_a_loop_over_the_band(past: int, lookahead: int) -> None:
    torch.manual_seed(0)
    frames, joints, channels = 7, 2, 8
    attention = TemporalAttention(channels, 2, past, lookahead)
    features = torch.randn(1, frames, joints, channels)
    valid = torch.ones(1, past + frames)
    valid[0, :past] = 0
    valid[0, past + 3] = 0
    seen, _ = attention(features, valid, torch.zeros(1, 2, past, joints, channels))
    query, key, value = attention.to_qkv(attention.norm(features)).split(channels, dim=-1)
    for t in range(frames):
        band = [s for s in range(max(0, t - past), min(frames, t + lookahead + 1)) if s == t or s != 3]
        for j in range(joints):
            heads = []
            for h in (slice(0, 4), slice(4, 8)):
                weights, values = [], []
                for s in band:
                    to_key, to_value = attention.frame_embedding[s - t + past]
                    weights.append(math.exp(float(query[0, t, j, h] @ (key[0, s, j] + to_key)[h]) / 2))
                    values.append((value[0, s, j] + to_value)[h])
                heads.append(sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights))
            expected = features[0, t, j] + attention.to_out(torch.cat(heads))
            assert torch.allclose(seen[0, t, j], expected, atol=1e-5)


def test_the_sine_encoding_tells_all_places_apart() -> None:
    encoding = sine_encoding(16, 8, 8).flatten(1).T
    assert encoding.shape == (64, 16)
    assert encoding.abs().max() <= 1
    distances = torch.cdist(encoding, encoding) + 10 * torch.eye(64)
    assert distances.min() > 0.1


def test_point_features_against_a_loop_over_views() -> None:
    torch.manual_seed(0)
    part = PointFeatures(SMALL)
    features, points = torch.randn(1, 3, 8, 8, 8), torch.randn(1, 5, 3) * 0.05
    projections = torch.randn(1, 3, 3, 4)
    projections[:, :, 2] = torch.tensor([0.0, 0.0, 0.2, 1.0])
    confidence, mask = torch.rand(1, 3, 5), torch.tensor([[1.0, 0.0, 1.0]])
    found = part(features, projections, points, confidence, mask)
    for n in range(5):
        seen, weights = [], []
        for view in (0, 2):
            moved = projections[0, view] @ torch.cat([points[0, n], torch.ones(1)])
            place = (moved[:2] / moved[2])[None, None]
            sampled = sample_features(features[:, view] + part.encoding, place)[0, 0]
            seen.append(part.bottleneck(torch.cat([sampled, confidence[0, view, n, None]])))
            weights.append(part.to_weight(seen[-1]).exp())
        total = sum(w * s for w, s in zip(weights, seen, strict=True)) / sum(weights)
        assert torch.allclose(found[0, n], part.to_features(total), atol=1e-5)


def test_blocks_move_the_queries_step_by_step() -> None:
    torch.manual_seed(0)
    transformer = PointTransformer(SMALL)
    places, anchors = torch.randn(3, 21, 3), torch.randn(3, 84, 3)
    state = torch.zeros(3, 2, 2, 4, 21, 16)
    valid = torch.cat([torch.zeros(3, 4), torch.ones(3, 1)], dim=1)
    refined, features, kept = transformer(places, torch.randn(3, 21, 16), anchors, torch.randn(3, 84, 16), valid, state)
    assert len(refined) == 2
    assert features.shape == (3, 21, 16)
    assert kept.shape == state.shape
    assert torch.equal(kept[:, :, :, :3], state[:, :, :, 1:])
    assert (kept[:, :, :, 3] != 0).any()
    # Eq. 12 starts small: untrained, the answer is the triangulation.
    assert 0 < (refined[0] - places).abs().max() < 0.05


@pytest.mark.parametrize("off", ["use_spatial_attention", "use_temporal_attention", "use_cross_attention"])
def test_attentions_can_be_left_out(off: str) -> None:
    block = StptBlock(NetworkConfig.from_dict({**SMALL.to_dict(), off: False}))
    left_out = off.removeprefix("use_").removesuffix("_attention")
    assert not any(name.startswith(left_out + ".") for name, _ in block.named_parameters())
    places = torch.randn(1, 21, 3)
    anchors = torch.randn(1, 84, 3)
    moved, _, _ = block(
        places, torch.randn(1, 21, 16), anchors, torch.randn(1, 84, 16), torch.ones(1, 5),
        torch.zeros(1, 2, 4, 21, 16), first_rows(places), first_rows(anchors),
    )  # fmt: skip
    assert moved.shape == (1, 21, 3)
