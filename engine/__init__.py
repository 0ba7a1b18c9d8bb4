"""From frame sets to hand poses: every engine stands behind `engine.types.HandEngine`."""
