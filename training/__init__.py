"""From recordings and 2D pseudo-labels to weights."""

import engine  # noqa: F401 - before ONNX Runtime, which it keeps from sending anything
