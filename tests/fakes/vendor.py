"""A vendor of chat completions in a thread, for gateways that run as processes of their own."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Vendor(ThreadingHTTPServer):
    """Answers every POST with `text`; `keys` are the credentials it was shown, in order."""

    daemon_threads = True

    def __init__(self, text: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.text = text
        self.keys: list[str | None] = []
        self.models: list[str] = []

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
        body = json.dumps(_completion(asked["model"], self.server.text)).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
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
