"""What the pipeline is worth, measured: on real footage, beside its peers, and over time."""

import engine  # noqa: F401 - before ONNX Runtime, which it keeps from sending anything
