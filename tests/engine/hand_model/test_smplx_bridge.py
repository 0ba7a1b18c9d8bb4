"""The numpy hand against the layer that training uses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.hand_model.convert import MANO_TIP_VERTEX_IDS
from engine.hand_model.model import HandModel
from engine.hand_model.smplx_bridge import data_struct_for_smplx

smplx = pytest.importorskip("smplx")
torch = pytest.importorskip("torch")

PARITY_M = 1e-5


@pytest.mark.parametrize("correctives", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
def test_numpy_equals_smplx(open_hand: HandModel, side: str, correctives: bool) -> None:
    rng = np.random.default_rng(11)
    model = open_hand if side == "right" else open_hand.mirrored()
    if correctives:
        model = replace(model, pose_directions=rng.normal(0.0, 1e-3, size=model.pose_directions.shape))
    samples = 32
    shapes, poses = rng.normal(size=(samples, 10)), rng.normal(0.0, 0.7, size=(samples, 48))
    translations = rng.normal(0.0, 0.5, size=(samples, 3))
    layer = smplx.MANO(
        model_path="",
        data_struct=data_struct_for_smplx(model),
        use_pca=False,
        flat_hand_mean=True,
        is_rhand=side == "right",
        batch_size=samples,
        num_betas=10,
    )
    with torch.no_grad():
        output = layer(
            betas=torch.tensor(shapes, dtype=torch.float32),
            global_orient=torch.tensor(poses[:, :3], dtype=torch.float32),
            hand_pose=torch.tensor(poses[:, 3:], dtype=torch.float32),
            transl=torch.tensor(translations, dtype=torch.float32),
        )
    expected_vertices, expected_joints = output.vertices.numpy(), output.joints.numpy()
    for i in range(samples):
        posed = model.with_shape(shapes[i]).posed(poses[i], translations[i])
        # MANO's 16 joints stand at these places of the canonical order.
        mano = posed.joints[[0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3]]
        np.testing.assert_allclose(mano, expected_joints[i, :16], atol=PARITY_M)
        np.testing.assert_allclose(posed.vertices(), expected_vertices[i], atol=PARITY_M)
        np.testing.assert_allclose(posed.joints[4::4], expected_vertices[i][model.tip_vertex_ids], atol=PARITY_M)


def test_tips_of_mano_are_those_of_smplx() -> None:
    table = pytest.importorskip("smplx.vertex_ids").vertex_ids["mano"]
    assert tuple(table[name] for name in ("thumb", "index", "middle", "ring", "pinky")) == MANO_TIP_VERTEX_IDS
