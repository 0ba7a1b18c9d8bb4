"""Cameras and rigs: models, files, quality. Every other package builds on this one."""

from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.lens import CameraModel
from calibration.rig import Rig

__all__ = ["CalibrationError", "Camera", "CameraModel", "Rig"]
