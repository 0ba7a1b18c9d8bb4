"""What the pipeline is worth, measured: on real footage, beside its peers, and over time."""
