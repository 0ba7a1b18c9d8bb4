"""The whole network on random weights: what must not change its answer, and what must change it how."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

torch = pytest.importorskip("torch")

from engine.errors import EngineError  # noqa: E402
from engine.hand_model import HandModel  # noqa: E402
from engine.hand_model.rotations import matrix_from_axis_angle  # noqa: E402
from engine.network.config import NetworkConfig, preset  # noqa: E402
from engine.network.network import SequenceOutputs, StepOutputs, UstHandNetwork  # noqa: E402
from tests.engine.network.support import SMALL, Inputs, random_inputs, stirred_network  # noqa: E402

pytestmark = pytest.mark.usefixtures("no_grad")

POSE = ("joints", "mano_joints", "rotations", "shape", "translation", "vertices", "covariance_mm2", "valid")
PER_VIEW = ("keypoints", "view_confidence", "reprojection_px")


@pytest.fixture(scope="module")
def network() -> UstHandNetwork:
    return stirred_network()


def run(network: UstHandNetwork, inputs: Inputs) -> StepOutputs:
    seen: SequenceOutputs = network.forward_sequence(*inputs.everything())
    return seen.frames


def difference(a: StepOutputs, b: StepOutputs, name: str) -> float:
    one, other = getattr(a, name), getattr(b, name)
    scale = float(one.abs().max()) if name in ("covariance_mm2", "reprojection_px") else 1.0
    if name == "rotations":
        # Some bones of these made-up hands are millimetres long: their directions are known to as little.
        scale = 20.0
    return float((one - other).abs().max()) / max(scale, 1.0)


def test_the_parts_of_the_stirred_network_have_a_say(network: UstHandNetwork) -> None:
    """Or else the tests below would show nothing."""
    seen = network.forward_sequence(*random_inputs().everything())
    assert (seen.frames.joints - seen.start).norm(dim=-1).median() > 1e-3
    assert seen.frames.view_confidence.std() > 0.02
    assert 0.1 < seen.frames.view_confidence.mean() < 0.99
    assert seen.heatmap_joints.std() > 0.1
    assert (seen.frames.keypoints - seen.heatmap_joints).abs().median() > 1e-3
    assert seen.frames.covariance_mm2.diagonal(dim1=-2, dim2=-1).median() > 2


def test_permuting_views_permutes_what_is_of_views(network: UstHandNetwork) -> None:
    inputs, order = random_inputs(), [2, 0, 3, 1]
    before, after = run(network, inputs), run(network, inputs.pick_views(order))
    for name in POSE:
        assert difference(before, after, name) < 1e-4, name
    for name in PER_VIEW:
        assert difference(replace(before, **{name: getattr(before, name)[:, :, order]}), after, name) < 1e-4, name


@pytest.mark.parametrize("masked", [[1], [0, 3]])
def test_masking_a_view_is_removing_it(network: UstHandNetwork, masked: list[int]) -> None:
    inputs = random_inputs()
    kept = [view for view in range(4) if view not in masked]
    mask = inputs.view_mask.clone()
    mask[:, :, masked] = 0
    with_mask, without = run(network, replace(inputs, view_mask=mask)), run(network, inputs.pick_views(kept))
    for name in POSE:
        assert difference(with_mask, without, name) < 1e-4, name
    for name in PER_VIEW:
        assert difference(replace(with_mask, **{name: getattr(with_mask, name)[:, :, kept]}), without, name) < 1e-4
    assert (with_mask.view_confidence[:, :, masked] == 0).all()
    assert (with_mask.reprojection_px[:, :, masked] == 0).all()


def test_what_stands_in_a_masked_view_is_not_looked_at(network: UstHandNetwork) -> None:
    inputs = random_inputs()
    mask = inputs.view_mask.clone()
    mask[:, :, 2] = 0
    crops, noise = inputs.crops.clone(), inputs.noise.clone()
    crops[:, :, 2], noise[:, :, 2] = 255 - crops[:, :, 2], 9.0
    projections = inputs.projections.clone()
    projections[:, :, 2] = 0
    one = run(network, replace(inputs, view_mask=mask))
    other = run(network, Inputs(crops, projections, mask, noise))
    for name in POSE:
        assert difference(one, other, name) < 1e-6, name


def test_turning_and_moving_the_world_turns_and_moves_the_answer(network: UstHandNetwork) -> None:
    inputs = random_inputs()
    R = torch.tensor(matrix_from_axis_angle([0.4, -1.1, 0.7]), dtype=torch.float32)
    t = torch.tensor([0.03, -0.02, 0.05])
    T_local_other = torch.eye(4)
    T_local_other[:3, :3], T_local_other[:3, 3] = R.T, -R.T @ t
    before, after = run(network, inputs), run(network, inputs.moved(T_local_other))
    for name in ("joints", "mano_joints", "vertices"):
        assert float((getattr(before, name) @ R.T + t - getattr(after, name)).abs().max()) < 1e-4, name
    assert float((R @ before.rotations[:, :, 0] - after.rotations[:, :, 0]).abs().max()) < 1e-4
    assert float((before.rotations[:, :, 1:] - after.rotations[:, :, 1:]).abs().max()) < 2e-3
    turned = R @ before.covariance_mm2 @ R.T
    assert float((turned - after.covariance_mm2).abs().max()) < 1e-3 * float(turned.abs().max())
    for name in ("shape", *PER_VIEW):
        assert difference(before, after, name) < 1e-4, name


def test_the_answer_is_the_hand_models(network: UstHandNetwork) -> None:
    answer = run(network, random_inputs(hands=1))
    shaped = HandModel.load().with_shape(answer.shape[0, 0].double().numpy())
    posed = shaped.posed_from_rotations(
        answer.rotations[0, 0].double().numpy(), answer.translation[0, 0].double().numpy()
    )
    assert float((torch.tensor(posed.joints) - answer.mano_joints[0, 0]).abs().max()) < 1e-5
    assert float((torch.tensor(posed.vertices()) - answer.vertices[0, 0]).abs().max()) < 1e-5


def test_hands_of_a_batch_do_not_see_each_other(network: UstHandNetwork) -> None:
    inputs = random_inputs(hands=3)
    together = run(network, inputs)
    alone = run(network, Inputs(*(x[1:2] for x in inputs.everything())))
    for name in (*POSE, *PER_VIEW):
        one = replace(together, **{name: getattr(together, name)[1:2]})
        assert difference(one, alone, name) < 1e-4, name


@pytest.mark.parametrize("usable", [0, 1])
def test_fewer_than_two_views_are_flagged_and_give_numbers(network: UstHandNetwork, usable: int) -> None:
    inputs = random_inputs()
    mask = torch.zeros_like(inputs.view_mask)
    mask[:, :, :usable] = 1
    answer = run(network, replace(inputs, view_mask=mask))
    assert (answer.valid == 0).all()
    for field in fields(answer):
        assert torch.isfinite(getattr(answer, field.name)).all(), field.name


def stream(network: UstHandNetwork, inputs: Inputs) -> list[StepOutputs]:
    state, valid = network.empty_state(inputs.view_mask.shape[0])
    answers = []
    for t in range(inputs.view_mask.shape[1]):
        answers.append(network.step(*inputs.frame(t), state, valid))
        state, valid = answers[-1].state_out, answers[-1].state_valid_out
    return answers


def test_streaming_equals_the_whole_sequence(network: UstHandNetwork) -> None:
    """Forty frames, a view that drops out and comes back, and frames in which only one view is left."""
    inputs = random_inputs(frames=40)
    mask = inputs.view_mask.clone()
    mask[:, 10:20, 1] = 0
    mask[0, 24:26, 1:] = 0
    inputs = replace(inputs, view_mask=mask)
    whole = run(network, inputs)
    assert whole.valid[0].tolist() == [1.0] * 24 + [0.0] * 2 + [1.0] * 14
    streamed = stream(network, inputs)
    for name in (*POSE, *PER_VIEW):
        for t, answer in enumerate(streamed):
            # One view alone leaves a point anywhere on its ray: such an answer is flagged, and nobody looks at it.
            usable = answer.valid > 0
            both = getattr(whole, name)[usable, t], getattr(answer, name)[usable]
            # Lengths in metres; squared millimetres and pixels by their size.
            scale = 10 * float(both[0].abs().max()) if name in ("covariance_mm2", "reprojection_px") else 1.0
            if name == "rotations":
                # Some bones of this made-up hand are millimetres long: their directions are known to as little.
                scale = 20.0
            assert float((both[0] - both[1]).abs().max()) <= 1e-4 * scale, (name, t)
    # The state is the one that the whole sequence leaves.
    assert (torch.stack([answer.valid for answer in streamed], dim=1) == whole.valid).all()
    assert float((whole.state_out - streamed[-1].state_out).abs().max()) <= 1e-4
    assert torch.equal(whole.state_valid_out, streamed[-1].state_valid_out)


def test_a_frame_depends_on_the_frames_before_and_on_no_later_one(network: UstHandNetwork) -> None:
    inputs = random_inputs(frames=12)
    crops = inputs.crops.clone()
    crops[:, 5] = 255 - crops[:, 5]
    moved = (run(network, inputs).joints - run(network, replace(inputs, crops=crops)).joints).abs().amax(dim=(0, 2, 3))
    assert (moved[:5] == 0).all()
    # Each of the two blocks sees four frames back.
    assert (moved[5:12] > 1e-6).all()


def test_the_centred_window_sees_what_comes(network: UstHandNetwork) -> None:
    centred = stirred_network(replace(SMALL, lookahead=2))
    inputs = random_inputs(frames=12)
    crops = inputs.crops.clone()
    crops[:, 5] = 255 - crops[:, 5]
    moved = (run(centred, inputs).joints - run(centred, replace(inputs, crops=crops)).joints).abs().amax(dim=(0, 2, 3))
    assert (moved[1:10] > 1e-6).all()
    assert (moved[[0, 10, 11]] == 0).all()


ABLATIONS = [
    {"use_heatmap": False}, {"use_projection": False}, {"blocks": 0}, {"use_gcn": False}, {"use_casa": False},
    {"use_spatial_attention": False}, {"use_temporal_attention": False}, {"use_cross_attention": False},
    {"temporal_frames": 1}, {"temporal_frames": 3}, {"temporal_frames": 7}, {"blocks": 1}, {"blocks": 3}, {"blocks": 4},
]  # fmt: skip


@pytest.mark.parametrize("switches", ABLATIONS, ids=lambda s: ", ".join(f"{k}={v}" for k, v in s.items()))
def test_every_ablation_runs_streams_and_is_another_network(switches: dict[str, bool | int]) -> None:
    config = NetworkConfig.from_dict({**SMALL.to_dict(), **switches})
    torch.manual_seed(0)
    network = UstHandNetwork(config, HandModel.load(), pretrained=False).eval()
    torch.manual_seed(0)
    full = UstHandNetwork(SMALL, HandModel.load(), pretrained=False).eval()
    if "temporal_frames" not in switches:
        assert sum(p.numel() for p in network.parameters()) != sum(p.numel() for p in full.parameters())
    inputs = random_inputs(config, frames=6, hands=1)
    whole, streamed = run(network, inputs), stream(network, inputs)
    assert float((whole.joints[:, -1] - streamed[-1].joints).abs().max()) < 1e-4
    if switches.get("use_heatmap") is False:
        assert (whole.view_confidence == 1).all()


@pytest.mark.parametrize("views", range(1, 9))
def test_any_number_of_views(network: UstHandNetwork, views: int) -> None:
    answer = run(network, random_inputs(views=views))
    assert answer.keypoints.shape == (2, 1, views, 21, 2)
    assert (answer.valid == (views >= 2)).all()


def test_gradients_reach_every_parameter() -> None:
    network = stirred_network().train()
    with torch.enable_grad():
        seen = network.forward_sequence(*random_inputs(frames=5).everything())
        labels = torch.zeros_like(seen.heatmap_joints)
        answer = seen.frames
        loss = sum(places.sum() for places in seen.queries) + answer.vertices.sum() + answer.rotations.sum()
        loss = loss + seen.flow_log_prob(labels).sum() + seen.heatmaps.square().sum()
        loss.backward()
    # Nothing asks for the features after the last block but the head; the first level of the trunk is not decoded.
    without = [name for name, p in network.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert without == []


@pytest.mark.parametrize("name", ["lite", "resnet34"])
def test_the_presets(name: str) -> None:
    config = preset(name)
    assert (config.blocks, config.temporal_frames, config.lookahead) == (4, 5, 0)
    assert NetworkConfig.from_dict(config.to_dict()) == config


def test_settings_that_make_no_network_are_refused() -> None:
    for settings, said in (
        ({"input_px": 200}, "input_px is 200; use a multiple of 32"),
        ({"lookahead": 5}, "lookahead is 5"),
        ({"anchor_neighbors": 400}, "16 hypotheses make only 336 anchors"),
        ({"point_channels": 30}, "4 heads must divide it"),
        ({"wings": 2}, "'wings' is not known"),
        ({"blocks": "4"}, "blocks is '4'; it must be int"),
    ):
        with pytest.raises(EngineError, match=said):
            NetworkConfig.from_dict({**NetworkConfig().to_dict(), **settings})
    with pytest.raises(EngineError, match="network 'huge' is not known; use lite or resnet34"):
        preset("huge")
