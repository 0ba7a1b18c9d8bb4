"""Recording while the service runs: every frame set and every answer, without holding up either."""
