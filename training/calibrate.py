"""Covariances that mean what they say: the anchors' spread, scaled on held-out windows whose truth is known."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from engine.network.network import UstHandNetwork
from training.evaluate import Samples, predict, squared_mahalanobis
from training.usthand import UstHandMethod

_SCALES: Final = np.geomspace(0.05, 20.0, 33)
_FLOORS_MM: Final = np.geomspace(0.1, 30.0, 33)
_LEVEL: Final = 0.9
# The quantile of chi-square with three degrees of freedom at that level.
_SQUARED_RADIUS: Final = 6.251389
_MM_PER_M: Final = 1e3


def calibrate(network: UstHandNetwork, samples: Samples, batch_size: int = 8, seed: int = 0) -> None:
    """Set scale and floor of the network's covariance, joint by joint; nothing else of it changes.

    Each joint gets the scale and floor under which the errors of its refined query point are the most likely; then all
    get one common factor, so that the 90 % ellipsoids hold 90 % of the truths even where errors are no Gaussian.

    Args:
        network: The network; its buffers are written.
        samples: Windows that it was not trained on, with their truth.
        batch_size: Windows at a time.
        seed: Of the hypotheses' noise.

    Raises:
        ValueError: If no frame of the samples has an answer.
    """
    covariance = network.covariance
    with torch.no_grad():
        covariance.scale.fill_(1.0)
        covariance.floor_mm.fill_(0.0)
    said = predict(UstHandMethod(network), samples, batch_size=batch_size, seed=seed)
    valid = said.valid
    if not valid.any():
        raise ValueError(f"none of {valid.size} frames had an answer; give windows with two views or more")
    errors_mm = _MM_PER_M * (said.joints[valid] - said.true_joints[valid])
    spread_mm2 = said.covariance_mm2
    if spread_mm2 is None:
        raise ValueError(f"network {network.config.name} has no covariance to calibrate")
    scale, floor_mm = fit_scale_and_floor(errors_mm, spread_mm2[valid])
    with torch.no_grad():
        covariance.scale.copy_(torch.from_numpy(scale))
        covariance.floor_mm.copy_(torch.from_numpy(floor_mm))


def fit_scale_and_floor(
    errors_mm: NDArray[np.float64], spread_mm2: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find each joint's scale s and floor f of the covariance s^2 spread + f^2 I.

    Args:
        errors_mm: `(F, J, 3)`.
        spread_mm2: Covariances of the anchors `(F, J, 3, 3)`.

    Returns:
        Scales `(J,)`, and floors `(J,)` in millimetres.
    """
    variances, axes = np.linalg.eigh(spread_mm2)
    variances = np.maximum(variances, 0.0)
    along_mm2 = np.square(np.einsum("fjax,fja->fjx", axes, errors_mm))
    joints = errors_mm.shape[1]
    best, scale, floor_mm = np.full(joints, np.inf), np.ones(joints), np.ones(joints)
    for s in _SCALES:
        for f in _FLOORS_MM:
            total = s**2 * variances + f**2
            cost = (np.log(total) + along_mm2 / total).mean(axis=(0, 2))
            better = cost < best
            best[better], scale[better], floor_mm[better] = cost[better], s, f
    fitted = scale[:, None, None] ** 2 * spread_mm2 + floor_mm[:, None, None] ** 2 * np.eye(3)
    factor = np.sqrt(np.quantile(squared_mahalanobis(errors_mm, fitted), _LEVEL) / _SQUARED_RADIUS)
    return scale * factor, floor_mm * factor
