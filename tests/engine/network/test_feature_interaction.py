"""Eq. 3-5: the joint graph, adaptive GCN and CASA, against loops."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from engine.hand_model.model import PARENTS_21  # noqa: E402
from engine.network.config import NetworkConfig  # noqa: E402
from engine.network.feature_interaction import (  # noqa: E402
    MASKED_LOGIT,
    AdaptiveGcn,
    ConfidenceAwareAttention,
    FeatureInteraction,
    skeleton_adjacency,
)
from engine.network.joint_graph import JointGraph, sample_features  # noqa: E402

pytestmark = pytest.mark.usefixtures("no_grad")

SMALL = NetworkConfig(fusion_channels=16, attention_heads=2, point_channels=16)


def test_bilinear_samples_at_cell_centres_are_the_cells_and_between_them_the_mean() -> None:
    features = torch.arange(2 * 4 * 4, dtype=torch.float32).reshape(1, 2, 4, 4)
    centre_of_1_2 = [(2 + 0.5) / 2 - 1, (1 + 0.5) / 2 - 1]
    between = [(2 + 1.0) / 2 - 1, (1 + 0.5) / 2 - 1]
    outside = [1.9, 0.0]
    sampled = sample_features(features, torch.tensor([[centre_of_1_2, between, outside]]))
    assert sampled.shape == (1, 3, 2)
    assert sampled[0, 0].tolist() == [6.0, 22.0]
    assert sampled[0, 1].tolist() == [6.5, 22.5]
    assert sampled[0, 2].tolist() == [0.0, 0.0]


def test_the_joint_graph_joins_saigb_and_local_features() -> None:
    torch.manual_seed(0)
    graph = JointGraph(deepest_channels=6, cells=4, pose_channels=5).eval()
    deepest, features, joints = torch.randn(3, 6, 2, 2), torch.randn(3, 7, 8, 8), torch.rand(3, 21, 2) - 0.5
    joined = graph(deepest, features, joints)
    assert joined.shape == (3, 21, 12)
    assert torch.equal(joined[..., 5:], sample_features(features, joints))
    # A joint's SAIGB features come of its own maps alone, over the whole of F4.
    maps = graph.saigb.to_maps(deepest)
    own = graph.saigb.to_features(maps[:, 8:10].flatten(1))
    assert torch.allclose(joined[:, 4, :5], own, atol=1e-6)


def test_the_adjacency_holds_the_bones_and_nothing_else() -> None:
    adjacency = skeleton_adjacency()
    bones = {(joint, parent) for joint, parent in enumerate(PARENTS_21) if parent >= 0}
    for a in range(21):
        for b in range(21):
            linked = a == b or (a, b) in bones or (b, a) in bones
            degrees = [1 + sum(j in bone for bone in bones) for j in (a, b)]
            expected = 1 / math.sqrt(degrees[0] * degrees[1]) if linked else 0.0
            assert float(adjacency[a, b]) == pytest.approx(expected)


def test_adaptive_gcn_against_a_loop_over_joints() -> None:
    torch.manual_seed(0)
    gcn = AdaptiveGcn(4)
    torch.nn.init.normal_(gcn.learned_adjacency)
    tokens = torch.randn(2, 21, 4)
    mixed = gcn(tokens)
    messages = gcn.linear(gcn.norm(tokens))
    for joint in range(21):
        total = torch.zeros(2, 4)
        for other in range(21):
            weight = gcn.adjacency[joint, other] + gcn.learned_adjacency[joint, other]
            total = total + weight * messages[:, other]
        assert torch.allclose(mixed[:, joint], tokens[:, joint] + total.clamp_min(0), atol=1e-5)


def test_casa_against_a_loop_over_queries_and_heads() -> None:
    torch.manual_seed(0)
    attention = ConfidenceAwareAttention(8, heads=2)
    tokens, confidence = torch.randn(2, 5, 8), torch.rand(2, 5)
    mask = torch.zeros(2, 1, 1, 5)
    mask[1, 0, 0, 3:] = MASKED_LOGIT
    attended = attention(tokens, confidence, mask)
    for b in range(2):
        augmented = torch.cat([attention.norm(tokens[b]), confidence[b, :, None]], dim=-1)
        q, k, v = attention.to_qkv(augmented).split(8, dim=-1)
        rows = []
        for i in range(5):
            heads = []
            for h in (slice(0, 4), slice(4, 8)):
                usable = [j for j in range(5) if b == 0 or j < 3]
                weights = [math.exp(float(q[i, h] @ k[j, h]) / 2.0) for j in usable]
                heads.append(sum(w * v[j, h] for w, j in zip(weights, usable, strict=True)) / sum(weights))
            rows.append(torch.cat(heads))
        expected = tokens[b] + attention.to_out(torch.stack(rows))
        assert torch.allclose(attended[b], expected, atol=1e-5)


def test_queries_keys_and_values_see_the_confidence() -> None:
    torch.manual_seed(0)
    attention = ConfidenceAwareAttention(8, heads=2)
    tokens, mask = torch.randn(1, 5, 8), torch.zeros(1, 1, 1, 5)
    sure = attention(tokens, torch.ones(1, 5), mask)
    doubtful = torch.ones(1, 5)
    doubtful[0, 2] = 0.0
    assert (sure - attention(tokens, doubtful, mask)).abs().amax(dim=-1).min() > 1e-6


@pytest.mark.parametrize("off", ["use_gcn", "use_casa"])
def test_parts_can_be_left_out(off: str) -> None:
    interaction = FeatureInteraction(10, NetworkConfig.from_dict({**SMALL.to_dict(), off: False}))
    names = [name for name, _ in interaction.named_parameters()]
    assert not any(name.startswith("gcns" if off == "use_gcn" else "attentions") for name in names)
    assert interaction(torch.randn(2, 3, 21, 10), torch.rand(2, 3, 21), torch.ones(2, 3)).shape == (2, 3, 21, 16)
