"""Small changes of extrinsics solved from hands that were recorded, without a board."""

from calibration.refining.changes import Before, Change, find_change
from calibration.refining.errors import RefineError
from calibration.refining.solve import CameraCorrection, Refined, refine

__all__ = ["Before", "CameraCorrection", "Change", "RefineError", "Refined", "find_change", "refine"]
