"""From recorded footage to a refined calibration: what `usthand calibrate refine` does."""
