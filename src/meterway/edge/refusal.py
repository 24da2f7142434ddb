"""How a connection refuses what is no request to serve: before any handler, in bytes."""

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from meterway.kit import json

LONG_HEAD = (431, "request_head_too_large", "The request head is too large.")
MANY_HEADERS = (431, "too_many_headers", "The request has too many headers.")
LONG_TARGET = (414, "request_target_too_long", "The request's path and query are too long.")


class Refusal(Exception):  # noqa: N818 - raised through the parser to end a request, never seen outside
    """A request over a limit: the status and sentence to answer with."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def refusal(status: int, code: str, message: str) -> bytes:
    """Return a whole answer; its shape is OpenAI's, which most clients can read."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    body = json.encode({"error": error})
    return b"".join(
        (
            STATUS_LINE[status],
            b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body),
            b"connection: close\r\n\r\n",
            body,
        )
    )
