"""Opening a WebSocket on the connection of an HTTP request: the handshake of RFC 6455, section 4.2.

Messages may be compressed (permessage-deflate, RFC 7692) with small windows that neither side
keeps from one message to the next: a socket on which nothing happens holds none.
"""

from http import HTTPStatus
from typing import Final

from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from meterway.edge.http import InFlight, Scope, request_of
from meterway.edge.sockets.connection import Socket, Speaker
from meterway.edge.upgrade import UPGRADE, Handover, UpgradeRequiredError
from meterway.kit.errors import InvalidRequestError

_DEFLATE: Final = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True,
    client_no_context_takeover=True,
    server_max_window_bits=12,
    client_max_window_bits=12,
    compress_settings={"memLevel": 5},
)
_VERSION = "13"
_ASK = "This URL opens a WebSocket: ask for `Upgrade: websocket`, or POST over plain HTTP."


class HandshakeError(InvalidRequestError):
    """The request asks for a WebSocket in a way that is not valid."""

    code = "invalid_handshake"


def open_socket(scope: Scope, speaker: Speaker, limit: int, in_flight: InFlight) -> None:
    """Answer the request with 101; from now on `speaker` serves the client's messages.

    `limit` bounds a message, in bytes before and after unpacking. Raises `UpgradeRequiredError`
    where the request does not ask for a WebSocket, `HandshakeError`, and `ClientGoneError`.
    """
    connection: Handover | None = scope["extensions"].get(UPGRADE)
    if connection is None:
        raise UpgradeRequiredError(_ASK, "websocket")
    # Its frames begin where the head that is answered here ends.
    protocol = ServerProtocol(extensions=[_DEFLATE], state=State.OPEN, max_size=limit)
    head = _answer(protocol, scope)
    connection.hand_over(head, Socket(connection, protocol, speaker, in_flight))


def _answer(protocol: ServerProtocol, scope: Scope) -> bytes:
    """Return the head of the 101 that accepts `scope`. Raises what `open_socket` does."""
    asked = Headers((n.decode("latin-1"), v.decode("latin-1")) for n, v in scope["headers"])
    response = protocol.accept(Request(scope["path"], asked))
    if response.status_code == HTTPStatus.UPGRADE_REQUIRED:
        raise UpgradeRequiredError(_ASK, "websocket")
    if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
        why = str(protocol.handshake_exc)
        raise HandshakeError(
            f"This is not a valid WebSocket handshake of version {_VERSION}: {why}."
        )
    lines = [b"HTTP/1.1 101 Switching Protocols"]
    lines += [f"{name}: {value}".encode("latin-1") for name, value in response.headers.raw_items()]
    lines += [b": ".join(pair) for pair in request_of(scope).head]
    return b"\r\n".join((*lines, b"", b""))
