"""What UST-Hand is compared with: each method from its paper, on the same trunk, decoder, data, labels and budget.

All learn from 2D labels alone. What a paper takes from 3D truth, the label's reprojection replaces, as in the
comparison of UST-Hand's Tab. 3.
"""

from training.baselines.epipolar import EpipolarTransformer
from training.baselines.hamuco import HaMuCo
from training.baselines.labels import LabelDlt, RobustLabelDlt
from training.baselines.lt_algebraic import LtAlgebraic
from training.baselines.lt_volumetric import LtVolumetric
from training.baselines.monocular import Monocular
from training.baselines.s2hand import S2Hand

__all__ = [
    "EpipolarTransformer",
    "HaMuCo",
    "LabelDlt",
    "LtAlgebraic",
    "LtVolumetric",
    "Monocular",
    "RobustLabelDlt",
    "S2Hand",
]
