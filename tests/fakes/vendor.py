"""A vendor of chat completions in a thread, for gateways that run as processes of their own."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(20)


class Vendor(ThreadingHTTPServer):
    """Answers every POST with `text`, and every GET with `PICTURE`.

    `keys` are the credentials it was shown, in order, `contents` the last message of each request.
    """

    daemon_threads = True

    def __init__(self, text: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.text = text
        self.keys: list[str | None] = []
        self.models: list[str] = []
        self.contents: list[Any] = []

    @property
    def base(self) -> str:
        """The base URL of a channel that leads here."""
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Vendor

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.keys.append(self.headers["authorization"])
        self.server.models.append(asked["model"])
        self.server.contents.append(asked["messages"][-1]["content"])
        body = json.dumps(_completion(asked["model"], self.server.text)).encode()
        self._answer("application/json", body)

    def do_GET(self) -> None:
        self._answer("image/png", PICTURE)

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name the base gives it
        """Say nothing on standard error."""


def _completion(model: str, text: str) -> dict[str, Any]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    kind = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model}
    return {**kind, "choices": [choice], "usage": usage}


@contextmanager
def vendor(text: str) -> Iterator[Vendor]:
    """Run a vendor until the end of the block."""
    made = Vendor(text)
    thread = Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        thread.join()
        made.server_close()
