"""Speaks to a sandbox over its wire and judges what comes by the official SDKs' types."""

import json
from types import SimpleNamespace

from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import TypeAdapter

from meterway.kit import sse
from meterway.upstreams.sandbox import SandboxTransport
from meterway.upstreams.transport import Outgoing, Url
from meterway.upstreams.types import Timeouts
from tests.fakes.clock import FakeClock

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
PATHS = {"openai": CHAT, "anthropic": MESSAGES}
_EVENT = TypeAdapter(RawMessageStreamEvent)


class WordCounter:
    """Counts a word as a token, and every message body as seven."""

    def __init__(self):
        self.bodies = []

    async def count_messages(self, dialect, model, body):
        self.bodies.append((dialect, model, sorted(body)))
        return SimpleNamespace(tokens=7)

    async def count_text(self, model, text):
        return SimpleNamespace(tokens=len(text.split()))


class Wire:
    """A sandbox with a fake clock, asked in JSON."""

    def __init__(self, clock=None):
        self.clock = clock or FakeClock()
        self.counter = WordCounter()
        self.transport = SandboxTransport(self.counter, self.clock)

    async def send(self, path, body, method="POST", **more):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = Url.parse(f"http://sandbox{path}")
        request = Outgoing(
            url=url, headers=(), body=raw, method=method, timeouts=Timeouts(first_byte=30.0), **more
        )
        return await self.transport.send(request)

    async def whole(self, path, body):
        response = await self.send(path, body)
        data = json.loads(await response.read(1_000_000))
        assert dict(response.headers)[b"content-type"] == b"application/json"
        if response.status != 200:
            return response.status, data
        kind = ChatCompletion if path == CHAT else Message
        return kind.model_validate(data)

    async def stream(self, path, body):
        response = await self.send(path, {**body, "stream": True})
        assert response.status == 200
        assert dict(response.headers)[b"content-type"].startswith(b"text/event-stream")
        return [event_of(path, chunk) async for chunk in response]


def event_of(path, chunk: bytes):
    event = sse.parse(chunk)
    assert event is not None
    if path == CHAT:
        assert event.name == b""
        return (
            ChatCompletionChunk.model_validate_json(event.data) if event.data[:1] == b"{" else None
        )
    data = json.loads(event.data)
    assert event.name.decode() == data["type"]
    return SimpleNamespace(**data) if data["type"] == "ping" else _EVENT.validate_python(data)


def chat(model="sandbox/echo", text="Hello there", **more):
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def message(model="sandbox/echo", text="Hello there", **more):
    return chat(model, text, **{"max_tokens": 100, **more})


def asking(dialect, *args, **more):
    return (chat if dialect == "openai" else message)(*args, **more)


def tool(dialect, name, schema):
    if dialect == "openai":
        return {"type": "function", "function": {"name": name, "parameters": schema}}
    return {"name": name, "input_schema": schema}


def said(reply):
    if isinstance(reply, ChatCompletion):
        return reply.choices[0].message.content
    return "".join(block.text for block in reply.content if block.type == "text")


def called(reply) -> list[tuple[str, object]]:
    if isinstance(reply, ChatCompletion):
        calls = reply.choices[0].message.tool_calls or []
        return [
            (call.function.name, json.loads(call.function.arguments))
            for call in calls
            if call.type == "function"
        ]
    return [(block.name, block.input) for block in reply.content if block.type == "tool_use"]


def ended(reply):
    if isinstance(reply, ChatCompletion):
        return reply.choices[0].finish_reason
    return reply.stop_reason


def spoken(path, events) -> str:
    """Join the visible text of a stream."""
    if path == CHAT:
        return "".join(
            choice.delta.content or ""
            for event in events
            if event
            for choice in event.choices
            if choice.index == 0
        )
    return "".join(
        event.delta.text
        for event in events
        if event.type == "content_block_delta" and event.delta.type == "text_delta"
    )
