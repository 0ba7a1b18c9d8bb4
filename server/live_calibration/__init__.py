"""Calibrating the running cameras: a board is watched, guidance given, a solver run beside the stream."""
