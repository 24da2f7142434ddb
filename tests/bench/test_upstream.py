"""Tests of the benchmark's own upstream."""

import asyncio
import json

import pytest

from meterway.bench import payloads
from meterway.bench.types import Dialect, Size
from meterway.bench.upstream import UpstreamProtocol, chunked


class Writes(asyncio.Transport):
    """A transport that keeps every write."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.made.append(bytes(data))

    def abort(self) -> None:
        self.aborted = True


class StepLoop(asyncio.SelectorEventLoop):
    """A loop whose timers fire at once, in their order."""

    def call_at(self, when, callback, *args, context=None):  # type: ignore[override] # the base class is generic over its arguments
        return super().call_at(self.time(), callback, *args, context=context)


def request(path: str, body: bytes) -> bytes:
    return f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def connected() -> tuple[UpstreamProtocol, Writes]:
    protocol, writes = UpstreamProtocol(), Writes()
    protocol.connection_made(writes)
    return protocol, writes


def dechunked(raw: bytes) -> list[bytes]:
    _, _, rest = raw.partition(b"\r\n\r\n")
    chunks = []
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        chunks.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]
    return chunks


def streamed(path: str, model: str, **extra: object) -> list[bytes]:
    body = json.dumps({"model": model, "stream": True, **extra}).encode()

    async def run() -> list[bytes]:
        protocol, writes = connected()
        protocol.data_received(request(path, body))
        while not writes.made[-1].endswith(b"0\r\n\r\n"):  # noqa: ASYNC110 - timers fire at once
            await asyncio.sleep(0)
        return writes.made

    with asyncio.Runner(loop_factory=StepLoop) as runner:
        return runner.run(run())


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize(("prefix", "size"), [("", Size.SMALL), ("/large", Size.LARGE)])
def test_whole_reply_is_the_dialects_json_with_its_length(dialect, prefix, size):
    protocol, writes = connected()

    protocol.data_received(request(prefix + payloads.PATHS[dialect], b'{"model":"m"}'))

    head, _, body = b"".join(writes.made).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"content-length: {len(body)}".encode() in head
    assert body == payloads.whole_reply(dialect, size)


def test_a_request_in_pieces_is_answered_once():
    protocol, writes = connected()
    raw = request("/v1/messages", b'{"model":"m"}')

    for offset in range(len(raw)):
        protocol.data_received(raw[offset : offset + 1])

    assert len(writes.made) == 1


def test_requests_follow_one_another_on_a_connection():
    protocol, writes = connected()

    protocol.data_received(request("/v1/messages", b"{}") + request("/v1/chat/completions", b"{}"))

    assert b'"type":"message"' in writes.made[0]
    assert b'"chat.completion"' in writes.made[1]


def test_paced_stream_sends_each_of_its_100_chunks_alone():
    writes = streamed("/v1/chat/completions", "bench-paced")

    mark = payloads.MARK.encode()
    assert [write.count(mark) for write in writes] == [1] * 100 + [0]


@pytest.mark.parametrize("model", ["bench-brief", "of-another-name"])
def test_brief_stream_has_four_chunks(model):
    writes = streamed("/v1/messages", model)

    assert b"".join(writes).count(payloads.MARK.encode()) == 4


def test_openai_stream_is_chunks_of_json_and_done():
    raw = b"".join(streamed("/v1/chat/completions", "x-paced"))

    events = b"".join(dechunked(raw)).decode().removesuffix("\n\n").split("\n\n")
    decoded = [json.loads(event.removeprefix("data: ")) for event in events[:-1]]
    assert events[-1] == "data: [DONE]"
    assert decoded[0]["choices"][0]["delta"]["role"] == "assistant"
    assert decoded[-1]["choices"][0]["finish_reason"] == "stop"
    assert not any("usage" in event for event in decoded)


def test_openai_usage_chunk_comes_when_asked():
    asked = {"stream_options": {"include_usage": True}}

    raw = b"".join(streamed("/v1/chat/completions", "x-brief", **asked))

    events = b"".join(dechunked(raw)).decode().split("\n\n")
    assert json.loads(events[-3].removeprefix("data: "))["usage"]["total_tokens"] == 180


def test_anthropic_stream_has_every_event_in_order():
    raw = b"".join(streamed("/v1/messages", "x-brief"))

    events = b"".join(dechunked(raw)).decode().removesuffix("\n\n").split("\n\n")
    names = [event.splitlines()[0].removeprefix("event: ") for event in events]
    types = [json.loads(event.splitlines()[1].removeprefix("data: "))["type"] for event in events]
    assert names == types
    assert names == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * 4,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


async def test_a_vanished_client_stops_its_stream():
    protocol, writes = connected()
    protocol.data_received(request("/v1/messages", b'{"model":"x-held","stream":true}'))
    timer = protocol._timer

    protocol.connection_lost(None)

    assert timer is not None
    assert timer.cancelled()
    assert len(writes.made) == 1


def test_noise_is_cut_off():
    protocol, writes = connected()

    protocol.data_received(b"\x16\x03\x01 not HTTP\r\n\r\n")

    assert writes.aborted
    assert writes.made == []


def test_chunk_frame_names_its_length_in_hexadecimal():
    assert chunked(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
