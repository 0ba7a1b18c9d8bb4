"""From frame sets to hand poses: every engine stands behind `engine.types.HandEngine`."""

import os

# Builds of ONNX Runtime send data about their use to their maker from when they are imported, and keep a number for the
# machine in the home folder. Nothing here does so unasked; 0 in the environment lets them.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
