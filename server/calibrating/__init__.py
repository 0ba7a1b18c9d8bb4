"""From footage of a board to a calibration with its report."""
