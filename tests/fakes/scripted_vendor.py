"""A vendor in a thread whose model calls one tool, and then is done.

It speaks four dialects, told apart by path, and keeps what it reported of every answer: no two
answers used the same, and of each class of tokens its dialect knows some were used.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, NamedTuple

from meterway.protocols.usage import Usage
from tests.fakes.vendor_wires import Asked, Call, Chat, Content, Messages, Responses, Saying, Wire

_WIRES: dict[str, Wire] = {
    "/v1/chat/completions": Chat(),
    "/v1/messages": Messages(),
    "/v1beta/models": Content(),
    "/v1/responses": Responses(),
}
DONE = "The tool has done its work."


class Told(NamedTuple):
    """One answer: the request that led to it, and what the vendor reported of it."""

    path: str
    body: dict[str, Any]
    usage: Usage


class Answer(NamedTuple):
    """What is sent: a body of `length` bytes of which `text` may be less; then it is cut there."""

    kind: str
    text: str
    status: int = HTTPStatus.OK
    headers: tuple[tuple[str, str], ...] = ()
    length: int | None = None


class ScriptedVendor(ThreadingHTTPServer):
    """Calls `call` where its tool is on offer and not answered yet; says `aside` where it is not.

    `told` is what it answered, in order; what it cannot read is a 400, and is not told.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.told: list[Told] = []
        self._call, self._aside = Call("", {}), ""
        self._number, self._lock = 0, Lock()

    def script(self, call: Call, aside: str = "") -> None:
        """Forget what was told, and have this tool called from now on."""
        self.told.clear()
        self._call, self._aside = call, aside

    @property
    def base(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, path: str, content: bytes) -> Answer:
        """Return what is to be sent."""
        wire, body = wire_of(path), json.loads(content)
        asked = wire.read(path, body)
        with self._lock:
            self._number += 1
            usage = _usage(self._number, wire)
            self.told.append(Told(path, body, usage))
            said = self._say(self._number, asked, usage)
        if asked.stream:
            return Answer("text/event-stream", wire.stream(said))
        return Answer("application/json", json.dumps(wire.whole(said)))

    def _say(self, number: int, asked: Asked, usage: Usage) -> Saying:
        if asked.answered:
            return Saying(number, asked.model, usage, DONE)
        if self._call.name in asked.tools:
            return Saying(number, asked.model, usage, "", self._call)
        return Saying(number, asked.model, usage, self._aside)


def wire_of(path: str) -> Wire:
    """Return the dialect spoken at a path."""
    (wire,) = [wire for prefix, wire in _WIRES.items() if path.startswith(prefix)]
    return wire


def _usage(number: int, wire: Wire) -> Usage:
    """Return what the answer of a number used, in the classes its dialect tells apart."""
    return Usage(
        input=1000 + number,
        cache_read=300 + number,
        cache_write_5m=0 if isinstance(wire, Content) else 200 + number,
        cache_write_1h=100 + number if isinstance(wire, Messages) else 0,
        output=50 + number,
        reasoning=20 + number,
    )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedVendor

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        try:
            answer = self.server.answer(self.path.partition("?")[0], content)
        except (AssertionError, LookupError, TypeError, ValueError) as error:
            refusal = {"message": repr(error), "type": "invalid_request_error"}
            answer = Answer("application/json", json.dumps({"error": refusal}), 400)
        payload = answer.text.encode()
        self.send_response(answer.status)
        self.send_header("content-type", answer.kind)
        self.send_header("content-length", str(answer.length or len(payload)))
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(payload)
        self.close_connection = self.close_connection or answer.length is not None

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name the base gives it
        """Say nothing on standard error."""


@contextmanager
def scripted_vendor(vendor: ScriptedVendor | None = None) -> Iterator[ScriptedVendor]:
    """Run a vendor until the end of the block."""
    made = vendor or ScriptedVendor()
    thread = Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        thread.join()
        made.server_close()
