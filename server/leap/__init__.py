"""Leap Motion's WebSocket protocol, version 6: for clients that were written for leapjs."""

from server.leap.app import leap_app

__all__ = ["leap_app"]
