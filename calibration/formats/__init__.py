"""One module a calibration file format; `calibration.files` chooses among them."""
