"""Tests of the benchmark's own load generator."""

import asyncio
import time

import pytest

from meterway.bench import client, payloads
from meterway.bench.client import Address, Bounds, ClientProtocol, Tally, ask, held_open, run_load
from meterway.bench.stage import free_port
from meterway.bench.types import Dialect, Size
from meterway.bench.upstream import UpstreamProtocol, chunked, rendered_reply, rendered_stream

WHOLE = rendered_reply(Dialect.OPENAI, Size.SMALL)


class Wire(asyncio.Transport):
    """A transport that keeps what was sent and closes at once."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    abort = close


def tally_of(*, budget: int = 1, tokens: int = 0, dialect: Dialect = Dialect.OPENAI) -> Tally:
    until = time.perf_counter() + 60
    return Tally([b"one", b"two"], dialect, tokens_expected=tokens, budget=budget, until=until)


def connected(tally: Tally) -> tuple[ClientProtocol, Wire]:
    done = asyncio.get_running_loop().create_future()
    protocol, wire = ClientProtocol(tally, done), Wire()
    protocol.connection_made(wire)
    return protocol, wire


def stream(dialect: Dialect, tokens: int) -> bytes:
    first, token, end = rendered_stream(dialect, usage=False)
    return first + token * (tokens - 1) + end


async def test_requests_are_sent_in_turn_until_the_budget_is_spent():
    tally = tally_of(budget=3)
    protocol, wire = connected(tally)

    for _ in range(3):
        protocol.data_received(WHOLE)

    assert wire.sent == [b"one", b"two", b"one"]
    assert wire.closed
    assert (tally.load(1.0).requests, tally.errors) == (3, 0)


@pytest.mark.parametrize("dialect", Dialect)
async def test_chunks_are_counted_wherever_the_network_cuts(dialect):
    raw = stream(dialect, 3)

    counts = set()
    for offset in range(len(raw)):
        tally = tally_of(tokens=3, dialect=dialect)
        protocol, _ = connected(tally)
        protocol.data_received(raw[:offset])
        protocol.data_received(raw[offset:])
        counts.add((tally.tokens, len(tally.latencies), tally.errors, len(tally.firsts)))

    assert counts == {(3, 1, 0, 1)}


async def test_chunks_are_counted_byte_by_byte():
    tally = tally_of(tokens=5)
    protocol, _ = connected(tally)

    for byte in stream(Dialect.OPENAI, 5):
        protocol.data_received(bytes([byte]))

    assert (tally.tokens, tally.arrivals, tally.errors) == (5, 5, 0)


async def test_gathered_chunks_are_one_arrival():
    tally = tally_of(tokens=5, budget=2)
    protocol, _ = connected(tally)

    protocol.data_received(stream(Dialect.OPENAI, 5))
    protocol.data_received(stream(Dialect.OPENAI, 5))

    assert (tally.tokens, tally.arrivals) == (10, 2)


async def test_a_status_other_than_200_is_an_error_with_its_body():
    tally = tally_of()
    protocol, _ = connected(tally)

    protocol.data_received(b"HTTP/1.1 503 No\r\ncontent-length: 4\r\n\r\nbusy")

    assert tally.load(1.0).requests == 0
    assert tally.errors == 1
    assert tally.complaint == "status 503: busy"


async def test_a_stream_short_of_chunks_is_an_error():
    tally = tally_of(tokens=4)
    protocol, _ = connected(tally)

    protocol.data_received(stream(Dialect.ANTHROPIC, 3))

    assert (tally.errors, tally.complaint) == (1, "3 of 4 chunks arrived")


async def test_a_stream_without_its_end_event_is_an_error():
    first, _, _ = rendered_stream(Dialect.OPENAI, usage=False)
    tally = tally_of(tokens=1)
    protocol, _ = connected(tally)

    protocol.data_received(first + b"0\r\n\r\n")

    assert (tally.errors, tally.complaint) == (1, "the stream has no end event")


async def test_a_connection_lost_inside_a_reply_is_an_error():
    tally = tally_of()
    protocol, _ = connected(tally)

    protocol.data_received(WHOLE[:-1])
    protocol.connection_lost(None)

    assert tally.errors == 1
    assert "connection lost" in tally.complaint


async def test_a_connection_lost_between_replies_is_none():
    tally = tally_of(budget=1)
    protocol, _ = connected(tally)

    protocol.data_received(WHOLE)
    protocol.connection_lost(None)

    assert tally.errors == 0


async def test_noise_is_an_error_once():
    tally = tally_of()
    protocol, wire = connected(tally)

    protocol.data_received(b"SSH-2.0-x\r\n\r\n")
    protocol.connection_lost(None)

    assert tally.errors == 1
    assert wire.closed


async def test_the_rest_of_a_chunk_does_not_hide_the_next_mark():
    body = payloads.MARK.encode()[:-1]
    tally = tally_of(tokens=2)
    protocol, _ = connected(tally)
    protocol.data_received(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")

    protocol.data_received(chunked(b"x" + body))
    protocol.data_received(chunked(b"r ember ember"))

    assert tally.tokens == 3


@pytest.fixture
async def port():
    server = await asyncio.get_running_loop().create_server(UpstreamProtocol, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


def question(port: int, model: str = "", tokens: int = 0) -> client.Ask:
    body = payloads.request_body(Dialect.OPENAI, model, Size.SMALL, stream=bool(tokens))
    return ask(Address(port), Dialect.OPENAI, body, tokens=tokens)


async def test_a_load_is_bounded_by_its_requests(port):
    bounds = Bounds(connections=8, requests=100, seconds=30, deadline=30)

    load = await run_load(Address(port), [question(port)], bounds)

    assert (load.requests, load.errors) == (100, 0)
    assert 0 < load.p50 <= load.p99


async def test_streams_of_a_load_are_counted(port):
    bounds = Bounds(connections=4, requests=12, seconds=30, deadline=30)

    load = await run_load(Address(port), [question(port, "x-brief", tokens=4)], bounds)

    assert (load.requests, load.tokens, load.errors) == (12, 48, 0)
    assert 0 < load.first_p50 <= load.p50


async def test_what_is_open_at_the_deadline_is_cut_and_counted(port):
    bounds = Bounds(connections=3, requests=3, seconds=0.05, deadline=0.1)

    load = await run_load(Address(port), [question(port, "x-held", tokens=150)], bounds)

    assert (load.requests, load.errors) == (0, 3)
    assert "deadline" in load.complaint


async def test_a_closed_port_ends_the_load_with_errors():
    unused_port = free_port()
    bounds = Bounds(connections=2, requests=1_000, seconds=30, deadline=30)

    load = await run_load(Address(unused_port), [question(unused_port)], bounds)

    assert load.requests == 0
    assert 0 < load.errors <= 60
    assert "cannot connect" in load.complaint


async def test_held_streams_are_open_together_and_closed_afterwards(port):
    held = question(port, "x-held", tokens=150)

    async with held_open(Address(port), held, 120, deadline=30) as tally:
        opened = len(tally.firsts)

    assert opened == 120
    assert (tally.errors, tally.latencies) == (0, [])


async def test_streams_that_never_begin_are_errors(port):
    whole = question(port)
    never = client.Ask(whole.path, whole.headers, whole.body, whole.dialect, tokens=9)

    async with held_open(Address(port), never, 2, deadline=5) as tally:
        opened = len(tally.firsts)

    assert opened == 0
    assert tally.errors == 2
