"""The same model in `smplx`, where training differentiates through it. smplx and torch are imported on first use."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from engine.hand_model.model import HandModel


def data_struct_for_smplx(model: HandModel) -> Any:
    """Return a model as the structure that `smplx.MANO(data_struct=...)` takes, with nothing unpickled.

    Build the layer with `use_pca=False, flat_hand_mean=True, is_rhand=model.side == "right"`:
    `model.with_shape(shape).posed(pose, translation)` then equals it. smplx's own tip vertices are MANO's; for another
    mesh, pass `model.tip_vertex_ids`.

    Args:
        model: The model; mirrored already where the left hand is wanted.

    Returns:
        A `smplx.utils.Struct` with the nine arrays `f`, `v_template`, `shapedirs`, `posedirs`, `J_regressor`,
        `kintree_table`, `weights`, `hands_components` and `hands_mean`.

    Raises:
        ModuleNotFoundError: If smplx is not installed; it comes with `pip install usthand[train]`.
    """
    try:
        struct = importlib.import_module("smplx.utils").Struct
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error.name} is not installed; smplx and torch come with `pip install usthand[train]`", name=error.name
        ) from error
    # smplx reads the root's parent from an unsigned table, and overwrites it with -1.
    parents = model.parents.copy()
    parents[0] = 0
    return struct(
        f=model.faces.astype(np.int64),
        v_template=np.array(model.template_vertices),
        shapedirs=np.array(model.shape_directions),
        posedirs=np.array(model.pose_directions),
        J_regressor=np.array(model.joint_regressor),
        kintree_table=np.stack([parents, np.arange(len(parents))]),
        weights=np.array(model.skinning_weights),
        hands_components=np.eye(45),
        hands_mean=np.zeros(45),
    )
