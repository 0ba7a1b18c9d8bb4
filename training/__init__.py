"""From recordings and 2D pseudo-labels to weights."""
