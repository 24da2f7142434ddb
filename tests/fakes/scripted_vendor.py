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

    def answer(self, path: str, body: dict[str, Any]) -> tuple[str, str]:
        """Return an answer's content type and text."""
        (wire,) = [wire for prefix, wire in _WIRES.items() if path.startswith(prefix)]
        asked = wire.read(path, body)
        with self._lock:
            self._number += 1
            usage = _usage(self._number, wire)
            self.told.append(Told(path, body, usage))
            said = self._say(self._number, asked, usage)
        if asked.stream:
            return "text/event-stream", wire.stream(said)
        return "application/json", json.dumps(wire.whole(said))

    def _say(self, number: int, asked: Asked, usage: Usage) -> Saying:
        if asked.answered:
            return Saying(number, asked.model, usage, DONE)
        if self._call.name in asked.tools:
            return Saying(number, asked.model, usage, "", self._call)
        return Saying(number, asked.model, usage, self._aside)


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
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        status = HTTPStatus.OK
        try:
            kind, text = self.server.answer(self.path.partition("?")[0], body)
        except (AssertionError, LookupError, TypeError, ValueError) as error:
            refusal = {"message": repr(error), "type": "invalid_request_error"}
            status, kind = HTTPStatus.BAD_REQUEST, "application/json"
            text = json.dumps({"error": refusal})
        payload = text.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name the base gives it
        """Say nothing on standard error."""


@contextmanager
def scripted_vendor() -> Iterator[ScriptedVendor]:
    """Run a vendor until the end of the block."""
    made = ScriptedVendor()
    thread = Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        thread.join()
        made.server_close()
