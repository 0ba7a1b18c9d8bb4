"""The project's own kernels for NVIDIA GPUs, and what loads and launches them."""
