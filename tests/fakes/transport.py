"""A transport that plays a script: each send takes the next answer and keeps the request."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from meterway.upstreams.transport import Outgoing

EVENT_STREAM = ((b"content-type", b"text/event-stream"),)
JSON = ((b"content-type", b"application/json"),)


class ScriptedResponse:
    """An answer: status, headers and chunks; an exception among the chunks is raised there.

    An awaitable factory among the chunks (a callable) is awaited before going on.
    """

    def __init__(
        self, status: int = 200, chunks: Sequence[Any] = (), headers: Sequence[Any] = JSON
    ) -> None:
        self.status = status
        self.headers = list(headers)
        self.closed = False
        self._chunks = list(chunks)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            if isinstance(chunk, Exception):
                raise chunk
            if callable(chunk):
                await chunk()
            else:
                yield chunk

    async def read(self, limit: int) -> bytes:
        body = b"".join([chunk async for chunk in self])
        assert len(body) <= limit
        return body

    async def close(self) -> None:
        self.closed = True


class ScriptedTransport:
    """Answers sends in the order of `answers`; an exception in it is raised instead."""

    def __init__(self, *answers) -> None:
        self.answers = list(answers)
        self.sent: list[Outgoing] = []

    async def send(self, request: Outgoing):
        self.sent.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def close(self) -> None:
        pass

    def body(self, number: int = -1) -> Any:
        """What was sent in one request, decoded."""
        return json.loads(self.sent[number].body)


def whole(body: object, status: int = 200, headers: Sequence[Any] = ()) -> ScriptedResponse:
    """A whole JSON answer."""
    return ScriptedResponse(status, [json.dumps(body).encode()], [*JSON, *headers])


def stream(*chunks) -> ScriptedResponse:
    """An event stream, one network chunk each."""
    return ScriptedResponse(200, chunks, EVENT_STREAM)
