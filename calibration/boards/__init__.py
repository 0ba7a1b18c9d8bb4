"""Calibration boards: specs, geometry, detection and print."""

from calibration.boards.board import Board
from calibration.boards.detection import DEFAULT_GATES, BoardDetection, BoardDetector, Gates, Refusal, detect
from calibration.boards.errors import BoardError
from calibration.boards.parsing import parse_board

__all__ = [
    "DEFAULT_GATES",
    "Board",
    "BoardDetection",
    "BoardDetector",
    "BoardError",
    "Gates",
    "Refusal",
    "detect",
    "parse_board",
]
