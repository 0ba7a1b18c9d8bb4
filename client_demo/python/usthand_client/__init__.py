"""Client of UST-Hand Live: connect to a running service and take hands as numpy arrays."""

from usthand_client.async_client import AsyncClient
from usthand_client.backoff import Backoff
from usthand_client.client import Client
from usthand_client.clock import ClockOffset
from usthand_client.decoding import StreamDecoder
from usthand_client.errors import ConnectError, DecodeError, RefusedError, StreamError
from usthand_client.messages import FrameSet, Hand, Hands, Hello, Mano, Message, Pong, Stamps
from usthand_client.options import StreamOptions, stream_url
from usthand_client.packets import Packet, PacketWriter, decode_packets, read_packets

__all__ = [
    "AsyncClient",
    "Backoff",
    "Client",
    "ClockOffset",
    "ConnectError",
    "DecodeError",
    "FrameSet",
    "Hand",
    "Hands",
    "Hello",
    "Mano",
    "Message",
    "Packet",
    "PacketWriter",
    "Pong",
    "RefusedError",
    "Stamps",
    "StreamDecoder",
    "StreamError",
    "StreamOptions",
    "decode_packets",
    "read_packets",
    "stream_url",
]
