"""Recordings: frame sets, hands and calibrations in one MCAP file, beside a rig file that makes it a source again."""

from capture.recording.entries import FrameStamp, PictureFormat, Pictures, RecordedFrame, RecordingInfo, SetEntry
from capture.recording.errors import RecordingError
from capture.recording.folder import CALIBRATION_NAME, FILE_NAME, RIG_NAME, write_rig_files
from capture.recording.reader import Recording
from capture.recording.writer import RecordingWriter, Sink

__all__ = [
    "CALIBRATION_NAME",
    "FILE_NAME",
    "RIG_NAME",
    "FrameStamp",
    "PictureFormat",
    "Pictures",
    "RecordedFrame",
    "Recording",
    "RecordingError",
    "RecordingInfo",
    "RecordingWriter",
    "SetEntry",
    "Sink",
    "write_rig_files",
]
