"""Whether the calibration still fits what the cameras see: from the hands, and from the background."""

from calibration.drift.config import DriftConfig
from calibration.drift.monitor import DriftMonitor
from calibration.drift.sighting import Sighting
from calibration.drift.verdict import Verdict

__all__ = ["DriftConfig", "DriftMonitor", "Sighting", "Verdict"]
