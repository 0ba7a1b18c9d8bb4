"""The schema of the stream's messages: models that say what each holds, and the JSON Schema made of them."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from server.dialects import Up
from server.encoding import Encoding
from server.messages import PROTOCOL_VERSION, SCHEMA_ID

Number = float | None
Vector = Annotated[list[Number], Field(min_length=3, max_length=3)]
Quaternion = Annotated[list[Number], Field(min_length=4, max_length=4)]
UpperTriangle = Annotated[list[Number], Field(min_length=6, max_length=6)]
Nanoseconds = Annotated[int, Field(ge=0, description="On the service's monotonic clock, nanoseconds.")]
FieldName = Literal["joints", "mano", "vertices", "covariance", "stats"]
DialectName = Literal["mano", "openxr", "webxr", "unity", "unreal", "mediapipe"]


_DESCRIPTION: Final = (
    "The JSON form of the stream's messages. In msgpack they are the same maps, with every array of numbers as bin: "
    "little-endian float32, row after row. A number that is not finite is null here and NaN there. Optional parts are "
    "left out, never null."
)

_LEFT_OUT: Final[Any] = None
"""The default of parts that are left out; never validated, and not in the schema."""


class _Message(BaseModel):
    """Nothing but what is named."""

    model_config = ConfigDict(extra="forbid")


class Hello(_Message):
    """Opens the stream: what the client chose, and how to read what follows."""

    type: Literal["hello"]
    v: Annotated[int, Field(ge=PROTOCOL_VERSION, le=PROTOCOL_VERSION, description="Version of the protocol.")]
    schema_id: Annotated[str, Field(alias="schema", description="The schema that the messages follow.")]
    format: Encoding
    fields: list[FieldName]
    predict_ms: Annotated[int, Field(ge=0, le=100)]
    max_hz: Annotated[Number, Field(description="Null is as many as there are.")]
    dialect: DialectName
    units: str
    axes: str
    up: Annotated[
        Up | None, Field(description="Axis of the calibration's world that is up; null for mano and mediapipe.")
    ]
    joint_names: list[str]
    parents: Annotated[list[int], Field(description="-1 for the root; a parent may come after its child.")]
    array_columns: Annotated[dict[str, int], Field(description="Numbers a row of each array, for msgpack.")]
    model_id: str
    calibration_id: str
    views: Annotated[list[str], Field(description="The cameras in use; a masked one is left out.")]
    server_ns: Nanoseconds


class FrameSet(_Message):
    """What was seen."""

    id: int
    skew_ms: Number
    views: Annotated[list[str], Field(description="The cameras that gave a frame and are not masked.")]
    masked: Annotated[
        list[str], Field(description="Cameras that are left out: their calibration no longer fits; see /readyz.")
    ] = _LEFT_OUT
    suspect: Annotated[
        list[str],
        Field(description="Cameras in use although one of them no longer fits: the hands may be wrong; see /readyz."),
    ] = _LEFT_OUT


class Stamps(_Message):
    """A message's way through the service."""

    exposure: Nanoseconds
    received: Nanoseconds
    solved: Nanoseconds
    sent: Nanoseconds


class Mano(_Message):
    """MANO's parameters, in the calibration's world frame whatever the dialect is."""

    pose: Annotated[list[Number], Field(min_length=48, max_length=48, description="Axis-angle, radians.")]
    shape: Annotated[list[Number], Field(min_length=10, max_length=10)]
    translation: Vector


class Hand(_Message):
    """One hand; what comes of it depends on `fields`, and lengths on the dialect."""

    id: Annotated[int, Field(description="Stays while the hand is tracked; a lost hand comes back under a new one.")]
    side: Literal["left", "right"]
    confidence: Number
    predicted_ms: Annotated[
        int,
        Field(ge=0, le=100, description="How far it was extrapolated; only with predict_ms, 0 for a new track."),
    ] = _LEFT_OUT
    joints: list[Vector] = _LEFT_OUT
    orientations: Annotated[list[Quaternion], Field(description="x, y, z, w.")] = _LEFT_OUT
    radii: Annotated[list[float], Field(description="Of the flesh at each joint, above 0, in the joints' unit.")] = (
        _LEFT_OUT
    )
    tracked: Annotated[list[bool], Field(description="Whether a view saw the joint; all joints are valid.")] = _LEFT_OUT
    origin_world: Annotated[Vector, Field(description="mediapipe: the hand's centre.")] = _LEFT_OUT
    image_landmarks: Annotated[dict[str, list[Vector]], Field(description="mediapipe: by camera.")] = _LEFT_OUT
    mano: Mano = _LEFT_OUT
    vertices: list[Vector] = _LEFT_OUT
    covariance_mm2: Annotated[list[UpperTriangle], Field(description="xx, xy, xz, yy, yz, zz.")] = _LEFT_OUT
    reprojection_px: dict[str, float] = _LEFT_OUT
    view_weight: dict[str, float] = _LEFT_OUT


class Hands(_Message):
    """The hands at one instant; empty, never stale, when none is seen."""

    type: Literal["hands"]
    v: Annotated[int, Field(ge=PROTOCOL_VERSION, le=PROTOCOL_VERSION)]
    seq: Annotated[int, Field(ge=0, description="Counts the service's answers; gaps are answers not sent.")]
    state: Annotated[
        Literal["running", "ended"],
        Field(description="ended: the footage is over, there are no hands, and no message will follow."),
    ]
    frame_set: FrameSet
    stamps_ns: Stamps
    predicted_ms: Annotated[
        int, Field(ge=0, le=100, description="The hands are those of so long after stamps_ns.exposure.")
    ]
    calibration_id: str
    model_id: str
    hands: list[Hand]


class Ping(_Message):
    """Asks for the service's clock; the only message that a client may send."""

    type: Literal["ping"]
    t: Annotated[str | int | float | None, Field(description="Given back; 256 characters or 64 bits at most.")] = None


class Pong(_Message):
    """Answers a ping."""

    type: Literal["pong"]
    t: str | int | float | None
    received_ns: Nanoseconds
    sent_ns: Nanoseconds


MESSAGES: Final[dict[str, type[BaseModel]]] = {"hello": Hello, "hands": Hands, "ping": Ping, "pong": Pong}
"""Every message of the stream by its `type`."""


class _Generator(GenerateJsonSchema):
    """Leaves out defaults: an optional part that is not there says nothing."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])


@lru_cache(maxsize=1)
def stream_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the stream's messages."""
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[Hello | Hands | Ping | Pong, Field(discriminator="type")])
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "$id": f"urn:{SCHEMA_ID.replace('/', ':')}",
        "title": SCHEMA_ID,
        "description": _DESCRIPTION,
        **adapter.json_schema(by_alias=True, schema_generator=_Generator),
    }
