"""The service: REST, WebSocket stream, dialects and viewer page over a running pipeline."""
