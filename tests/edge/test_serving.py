"""Chat calls on real sockets: what a client who reads nothing costs, and what it is sent."""

import asyncio
import json

from structlog.testing import capture_logs

from meterway.auth.types import Principal
from meterway.edge.cycle import GONE, Gone
from meterway.edge.http import InFlight
from meterway.edge.openai import chat
from meterway.edge.server import Route, Server
from meterway.edge.serving import Desk
from meterway.kit.ids import CallIds
from meterway.kit.tasks import Tasks
from tests.factories.relays import CALLER, Relay
from tests.fakes.http_server import DEADLINE, serving
from tests.fakes.transport import stream, whole

_CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
WHOLE = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    ],
}
_ASK = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}


class Trusting:
    """Knows every key."""

    def known(self, token: str) -> Principal:
        return CALLER


def _event(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return b"data: " + json.dumps({**_CHUNK, "choices": [choice]}).encode() + b"\n\n"


def _app(relay: Relay, tasks: Tasks, keep_alive: float, kept=None) -> Server:
    desk = Desk(
        authenticator=Trusting(),  # type: ignore[arg-type]  # what a chat call asks of it
        gate=relay.gate,
        in_flight=InFlight(1 << 20),
        tasks=tasks,
        body_limit=1 << 20,
        keep_alive_seconds=keep_alive,
        kept=kept,
    )
    return Server([Route("POST", chat.PATH, chat.endpoint(desk))], CallIds(1))


def _request() -> bytes:
    body = json.dumps(_ASK).encode()
    head = f"POST {chat.PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def test_a_client_who_does_not_read_is_owed_one_keep_alive_at_most():
    flood = [_event("y" * 60_000)] * 400
    relay, tasks = Relay(stream(*flood, b"data: [DONE]\n\n")), Tasks()
    async with serving(_app(relay, tasks, keep_alive=0.001)) as server:
        client = await server.connect()
        await client.send(_request())
        for _ in range(50):  # by then its buffers are full and many periods were silent
            await asyncio.sleep(0.002)

        assert len(tasks._running) == 1
        client.leave()
        await server.emptied()
    await tasks.drain()


async def test_no_keep_alive_comes_after_the_end():
    relay, tasks = Relay(stream(*[_event("y" * 60_000)] * 200, b"data: [DONE]\n\n")), Tasks()
    with capture_logs() as events:
        async with serving(_app(relay, tasks, keep_alive=0.001)) as server:
            client = await server.connect()
            await client.send(_request())
            await asyncio.sleep(0.05)  # it does not read, so a comment waits

            raw = b""
            while not raw.endswith(b"0\r\n\r\n"):
                raw += await asyncio.wait_for(client.reader.read(1 << 20), DEADLINE)
            await tasks.drain()

    assert raw.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert [event for event in events if event["event"] == "task.failed"] == []
    assert relay.records[0].output_bytes == 200 * 60_000


async def _parts_sent(
    relay: Relay, ask: dict[str, object], kept=None
) -> list[tuple[bytes, bool, int]]:
    """Serve one call; return each part of the body, whether it is the last, and what was settled
    by then."""
    parts: list[tuple[bytes, bool, int]] = []
    body = json.dumps(ask).encode()

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        if message["type"] == "http.response.body":
            more = message.get("more_body", False)
            parts.append((message["body"], not more, len(relay.records)))

    gone, task = Gone(), asyncio.current_task()
    assert task is not None
    gone.task = task
    scope: dict[str, object] = {"type": "http", "method": "POST", "path": chat.PATH}
    scope["headers"] = [(b"authorization", b"Bearer k")]
    scope |= {"query_string": b"", "extensions": {GONE: gone}}
    await _app(relay, Tasks(), keep_alive=60, kept=kept)(scope, receive, send)
    return parts


async def test_a_whole_reply_is_settled_before_it_is_sent():
    relay = Relay(whole(WHOLE))

    parts = await _parts_sent(relay, {**_ASK, "stream": False})

    assert [(last, settled) for _, last, settled in parts] == [(True, 1)]


async def test_a_stream_is_settled_before_its_last_byte_and_not_earlier():
    events = [_event("a"), _event("b", "stop"), b"data: [DONE]\n\n"]
    relay = Relay(stream(*events))

    parts = await _parts_sent(relay, _ASK)

    assert [body for body, last, settled in parts if not settled] == events
    assert parts[-1] == (b"", True, 1)


class Disk:
    """A disk that notes how many calls were settled when somebody waited for it."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.waited: list[int] = []

    async def kept(self) -> None:
        await asyncio.sleep(0)
        self.waited.append(len(self.relay.records))


async def test_where_it_is_asked_for_the_last_byte_waits_for_the_disk():
    events = [_event("a"), _event("b", "stop"), b"data: [DONE]\n\n"]
    streamed, at_once = Relay(stream(*events)), Relay(whole(WHOLE))
    disks = [Disk(streamed), Disk(at_once)]

    parts = await _parts_sent(streamed, _ASK, disks[0].kept)
    (only,) = await _parts_sent(at_once, {**_ASK, "stream": False}, disks[1].kept)

    assert [disk.waited for disk in disks] == [[1], [1]]
    assert parts[-1] == (b"", True, 1)
    assert only[1:] == (True, 1)


async def test_without_billing_no_price_and_no_receipt_is_told():
    reply = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
    choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}}
    relay = Relay(whole({**reply, "choices": [{**choice, "finish_reason": "stop"}]}))
    body = json.dumps({**_ASK, "stream": False}).encode()
    head = f"POST {chat.PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n"
    async with serving(_app(relay, Tasks(), keep_alive=60)) as server:
        client = await server.connect()
        asked = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
        answer = await client.ask(asked)

    assert answer.status == 200
    assert answer.headers.keys() & {"x-meterway-cost", "x-meterway-receipt"} == set()
