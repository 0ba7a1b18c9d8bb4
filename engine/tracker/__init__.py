"""The network engine: hands found by the detector's networks, then followed by the UST-Hand network."""
