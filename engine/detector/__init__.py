"""The detector engine: off-the-shelf 2D networks in every view, joined in 3D."""
