"""The random samples of the network's flow: the same for every frame, so that equal pictures give equal answers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SEED = 0x05
_JOINTS = 21


def noise_table(views: int, hypotheses: int) -> NDArray[np.float32]:
    """Draw what looks like standard normal noise of every view, once and for all.

    A few random samples are off their mean by chance, and so would be what is triangulated from them. These are
    antithetic: for every sample there is its opposite, so that the mean of each joint's samples is exactly zero, and
    from four samples on their covariance is exactly the identity. A view's samples depend on its index only.

    Args:
        views: V.
        hypotheses: M; with an odd number the last sample is zero, and a single one is drawn as it comes.

    Returns:
        `(V, M, 21, 2)`.
    """
    return np.stack([_view_noise(view, hypotheses) for view in range(views)]).astype(np.float32)


def _view_noise(view: int, hypotheses: int) -> NDArray[np.float64]:
    rng = np.random.default_rng((_SEED, view))
    if hypotheses == 1:
        return rng.normal(size=(1, _JOINTS, 2))
    half = rng.normal(size=(hypotheses // 2, _JOINTS, 2))
    if len(half) > 1:
        # The second moment of all M samples is to be the identity: whiten by its inverse root, which turns nothing.
        moment = np.einsum("mji,mjk->jik", half, half) * 2 / hypotheses
        values, vectors = np.linalg.eigh(moment)
        root = vectors @ (vectors.transpose(0, 2, 1) / np.sqrt(values)[:, :, None])
        half = np.einsum("jik,mjk->mji", root, half)
    rest = np.zeros((hypotheses % 2, _JOINTS, 2))
    return np.concatenate([half, -half, rest])
