"""MANO in torch against smplx and the numpy model; and the head's geometry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engine.hand_model import HandModel  # noqa: E402
from engine.hand_model.rotations import matrix_from_axis_angle  # noqa: E402
from engine.hand_model.smplx_bridge import data_struct_for_smplx  # noqa: E402
from engine.network.config import NetworkConfig  # noqa: E402
from engine.network.hand_layer import HandLayer  # noqa: E402
from engine.network.mano_head import ManoHead, rotation_from_6d, swing  # noqa: E402

pytestmark = pytest.mark.usefixtures("no_grad")


@pytest.fixture(scope="module")
def model() -> HandModel:
    """The open hand with made-up pose correctives, so that those are tested too."""
    embedded = HandModel.load()
    rng = np.random.default_rng(5)
    directions = rng.normal(scale=1e-3, size=embedded.pose_directions.shape)
    return replace(embedded, pose_directions=directions.astype(np.float32).astype(np.float64))


def random_hands(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(scale=0.5, size=(count, 48)), rng.normal(size=(count, 10)), rng.normal(size=(count, 3))


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_against_smplx(model: HandModel) -> None:
    smplx = pytest.importorskip("smplx")
    pose, shape, translation = (torch.tensor(x, dtype=torch.float32) for x in random_hands(4))
    theirs = smplx.MANO(
        model_path="", data_struct=data_struct_for_smplx(model), use_pca=False, flat_hand_mean=True, is_rhand=True,
        batch_size=4,
    )(global_orient=pose[:, :3], hand_pose=pose[:, 3:], betas=shape, transl=translation)  # fmt: skip
    layer = HandLayer(model)
    rotations = torch.tensor(matrix_from_axis_angle(pose.double().numpy().reshape(4, 16, 3)), dtype=torch.float32)
    rest = layer.rest(shape)
    ours = layer.pose(rest, rotations, translation)
    vertices = layer.vertices(rest, shape, rotations, ours)
    assert (vertices - theirs.vertices).abs().max() < 1e-5
    assert (ours.mano_joints - theirs.joints[:, :16]).abs().max() < 1e-5
    tips = vertices[:, model.tip_vertex_ids.tolist()]
    assert (ours.joints[:, [4, 8, 12, 16, 20]] - tips).abs().max() < 1e-5


def test_against_the_numpy_model(model: HandModel) -> None:
    pose, shape, translation = random_hands(3)
    layer = HandLayer(model).double()
    for n in range(3):
        posed = model.with_shape(shape[n]).posed(pose[n], translation[n])
        rest = layer.rest(torch.tensor(shape[n : n + 1]))
        rotations = torch.tensor(matrix_from_axis_angle(pose[n].reshape(16, 3)))[None]
        ours = layer.pose(rest, rotations, torch.tensor(translation[n : n + 1]))
        assert np.abs(ours.joints[0].numpy() - posed.joints).max() < 1e-6
        assert np.abs(ours.rotations[0].numpy() - posed.rotations).max() < 1e-9


def test_the_hand_model_is_not_in_checkpoints(model: HandModel) -> None:
    assert HandLayer(model).state_dict() == {}


def test_swing_turns_one_direction_to_the_other() -> None:
    torch.manual_seed(0)
    start, end = torch.nn.functional.normalize(torch.randn(2, 500, 3).double(), dim=-1)
    rotation = swing(start[..., None], end[..., None])
    assert (rotation @ rotation.transpose(-1, -2) - torch.eye(3)).abs().max() < 1e-5
    within = (start * end).sum(dim=-1) > -0.5
    assert 300 < within.sum() < 450
    turned = (rotation @ start[..., None])[..., 0]
    assert (turned - end)[within].abs().max() < 1e-6
    # Beyond 120 degrees it goes so far, the same way.
    assert ((turned * start).sum(dim=-1)[~within] + 0.5).abs().max() < 1e-6
    axis = torch.linalg.cross(start, end)
    assert ((rotation @ axis[..., None])[..., 0] - axis).abs().max() < 1e-6
    assert torch.allclose(swing(start[..., None], start[..., None]), torch.eye(3).double(), atol=1e-6)


def test_six_numbers_make_rotations() -> None:
    torch.manual_seed(0)
    rotation = rotation_from_6d(torch.randn(50, 6).double())
    assert (rotation @ rotation.transpose(-1, -2) - torch.eye(3)).abs().max() < 1e-7
    assert torch.linalg.det(rotation).min() > 0.99
    assert torch.allclose(rotation_from_6d(torch.zeros(1, 6)), torch.eye(3), atol=1e-6)


def test_untrained_the_head_poses_mano_onto_the_points() -> None:
    """Flexed fingers of the mean shape, anywhere: geometry alone brings the joints to a millimetre or so."""
    model = HandModel.load()
    rng = np.random.default_rng(2)
    pose = np.zeros((20, 16, 3))
    pose[:, 0] = rng.normal(size=(20, 3))
    pose[:, 1:, 2] = rng.uniform(-0.8, 0.0, size=(20, 15))
    shaped = model.with_shape(np.zeros(10))
    truth = np.stack([shaped.posed(p.ravel(), rng.normal(scale=0.1, size=3)).joints for p in pose])
    torch.manual_seed(0)
    head = ManoHead(NetworkConfig(), model)
    with torch.no_grad():
        made = head(torch.tensor(truth, dtype=torch.float32), torch.randn(20, 21, 96))
    error_mm = 1e3 * (made.posed.joints.double().numpy() - truth)
    assert np.linalg.norm(error_mm, axis=-1).mean() < 1.0
    again = head.layer.pose(made.rest, made.rotations, made.translation)
    assert (again.joints - made.posed.joints).abs().max() < 1e-5


def test_no_weights_make_a_hand_of_no_human_shape(model: HandModel) -> None:
    head = ManoHead(NetworkConfig(), model)
    with torch.no_grad():
        head.to_parameters.bias[-10:] = torch.linspace(-50.0, 50.0, 10)
    joints = torch.from_numpy(model.with_shape(np.zeros(10)).posed(np.zeros(48), np.zeros(3)).joints).float()[None]
    shape = head(joints, torch.zeros(1, 21, NetworkConfig().point_channels)).shape
    assert shape.abs().max() <= 3.0
    assert (shape[0, [0, -1]].abs() > 2.9).all()
