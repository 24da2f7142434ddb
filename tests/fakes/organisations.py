"""Upstreams that speak Responses, each of which reads what it encrypted itself and nothing else.

They answer as https://platform.openai.com/docs/guides/reasoning says: whoever is sent another
organisation's `encrypted_content` refuses the request, and so they do with what is no secret of
anybody's.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple

from meterway.upstreams.transport import Outgoing
from tests.fakes.transport import EVENT_STREAM, JSON, ScriptedResponse
from tests.protocols.chat.openai_responses import upstream

BUSY = {"error": {"message": "Overloaded.", "type": "server_error", "code": "overloaded"}}
UNREADABLE = {
    "error": {
        "message": "The encrypted content gAAA... could not be verified.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_encrypted_content",
    }
}


class Said(NamedTuple):
    """An answer: its status, whether it is a stream, and its body."""

    status: int
    streams: bool
    body: bytes


class Organisation:
    """One account at a vendor: thinks, encrypts its thought, and greets.

    `asked` holds the requests it answered; `refused` counts those it could not read. It fails
    while it is `down`, and `compacts` into an item of its own where that is set.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[dict[str, Any]] = []
        self.refused = 0
        self.down = False
        self.compacts = False

    @property
    def secret(self) -> str:
        """What all that it encrypts begins with."""
        return f"gAAAA{self.name}"

    @property
    def last(self) -> dict[str, Any]:
        """The request it answered last."""
        return self.asked[-1]

    def read(self) -> list[str]:
        """Return what was encrypted in the request it answered last."""
        return list(_encrypted(self.last))

    def answer(self, body: dict[str, Any]) -> Said:
        """Answer a request."""
        if self.down:
            return Said(503, False, json.dumps(BUSY).encode())
        if not all(one.startswith(self.secret) for one in _encrypted(body)):
            self.refused += 1
            return Said(400, False, json.dumps(UNREADABLE).encode())
        self.asked.append(body)
        items, streams = self._items(), bool(body.get("stream"))
        if streams:
            return Said(200, True, upstream.whole_stream(*items))
        return Said(200, False, upstream.body(*items))

    def _items(self) -> Sequence[dict[str, Any]]:
        name = f"{self.name}{len(self.asked)}"
        thought = {"type": "reasoning", "id": f"rs_{name}", "summary": []}
        items: list[dict[str, Any]] = [
            thought | {"encrypted_content": f"{self.secret}{len(self.asked)}"},
            {**upstream.MESSAGE, "id": f"msg_{name}"},
        ]
        if self.compacts:
            short = {"type": "compaction", "id": f"cmp_{name}"}
            items.insert(0, short | {"encrypted_content": f"{self.secret}short"})
        return items


def _encrypted(body: dict[str, Any]) -> Iterator[str]:
    told = body["input"] if isinstance(body["input"], list) else ()
    for item in told:
        if item.get("encrypted_content") is not None:
            yield item["encrypted_content"]


class Organisations:
    """A transport to several of them, told apart by the key that comes with a request."""

    def __init__(self, *members: Organisation) -> None:
        self._members = {f"Bearer {one.name}".encode(): one for one in members}

    async def send(self, request: Outgoing) -> Any:
        """Give a request to the one whose key it carries."""
        key = dict(request.headers)[b"authorization"]
        said = self._members[key].answer(json.loads(request.body))
        return ScriptedResponse(said.status, [said.body], EVENT_STREAM if said.streams else JSON)

    async def close(self) -> None:
        """Hold nothing."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        said = self.server.organisation.answer(body)
        self.send_response(said.status)
        kind = "text/event-stream" if said.streams else "application/json"
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(said.body)))
        self.end_headers()
        self.wfile.write(said.body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name the base gives it
        """Say nothing on standard error."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, organisation: Organisation) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.organisation = organisation


@contextmanager
def served(organisation: Organisation) -> Iterator[str]:
    """Serve one on a port until the end of the block; give its base URL."""
    server = _Server(organisation)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
