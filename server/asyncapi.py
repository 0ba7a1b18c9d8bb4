"""The AsyncAPI document of the WebSocket: where it is, what may be asked of it, and which messages go which way."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from server.dialects import DIALECTS, UPS
from server.encoding import ENCODINGS
from server.messages import DEFAULT_FIELDS, FIELDS, SCHEMA_ID
from server.motion import LONGEST_PREDICTION_MS
from server.stream_options import HIGHEST_MAX_HZ
from server.stream_schema import MESSAGES

_FROM_SERVER = ("hello", "hands", "pong")
_FROM_CLIENT = ("ping",)


def asyncapi_document(stream_path: str, schema_url: str) -> dict[str, Any]:
    """Build the AsyncAPI 3.0 document.

    Args:
        stream_path: Path of the WebSocket.
        schema_url: Where the JSON Schema of the messages is served.
    """
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "UST-Hand Live: the stream of hands",
            "version": SCHEMA_ID.rpartition("/")[2],
            "description": (
                f"Served by usthand {version('usthand')}. The payloads are those of format=json; with format=msgpack "
                "they are the same maps, arrays of numbers being bin of little-endian float32."
            ),
        },
        "defaultContentType": "application/json",
        "channels": {
            "stream": {
                "address": stream_path,
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in MESSAGES},
                "bindings": {"ws": {"method": "GET", "query": _query_schema(), "bindingVersion": "0.1.0"}},
            }
        },
        "operations": {
            "tellHands": _operation("send", _FROM_SERVER, "A hello, then hands as they are solved, and pongs."),
            "hearPing": _operation("receive", _FROM_CLIENT, "Anything else ends the connection with a reason."),
        },
        "components": {
            "messages": {
                name: {
                    "name": name,
                    "summary": " ".join(str(model.__doc__).split()),
                    "payload": {
                        "schemaFormat": "application/schema+json;version=draft-2020-12",
                        "schema": {"$ref": f"{schema_url}#/$defs/{model.__name__}"},
                    },
                }
                for name, model in MESSAGES.items()
            }
        },
    }


def _operation(action: str, messages: tuple[str, ...], summary: str) -> dict[str, Any]:
    return {
        "action": action,
        "summary": summary,
        "channel": {"$ref": "#/channels/stream"},
        "messages": [{"$ref": f"#/channels/stream/messages/{name}"} for name in messages],
    }


def _query_schema() -> dict[str, Any]:
    some_fields = "|".join(FIELDS)
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "format": {"enum": list(ENCODINGS), "default": "json"},
            "dialect": {"enum": list(DIALECTS), "default": "mano"},
            "up": {
                "enum": list(UPS),
                "description": "Axis of the calibration's world that is up; for openxr, webxr, unity and unreal.",
            },
            "fields": {
                "type": "string",
                "pattern": f"^({some_fields})(,({some_fields}))*$",
                "default": ",".join(name for name in FIELDS if name in DEFAULT_FIELDS),
            },
            "predict_ms": {"type": "number", "minimum": 0, "maximum": LONGEST_PREDICTION_MS, "default": 0},
            "max_hz": {"type": "number", "exclusiveMinimum": 0, "maximum": HIGHEST_MAX_HZ},
            "token": {"type": "string", "description": "The bearer token, for clients that cannot send headers."},
        },
    }
