"""The bounded protocol on real sockets: floods, silence, smuggling, and clients who leave."""

import asyncio
import socket

import pytest

from meterway.edge.cycle import GONE
from meterway.edge.limits import Limits
from tests.fakes.http_server import DEADLINE, serving

QUICK = Limits(
    head_seconds=0.05,
    body_idle_seconds=0.05,
    keep_alive_seconds=0.05,
    linger_seconds=0.05,
    stall_seconds=0.05,
    sweep_seconds=0.01,
)


async def whole_body(receive) -> bytes | None:
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        if not message["more_body"]:
            return body


async def reply(send, body: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def echo(scope, receive, send) -> None:
    """Answer with the path and the body."""
    body = await whole_body(receive)
    if body is not None:
        await reply(send, scope["path"].encode() + b" " + body)


GET = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"


def post(body: bytes, *headers: bytes) -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    length = b"content-length: %d\r\n" % len(body)
    return b"POST /p HTTP/1.1\r\nhost: x\r\n" + length + lines + b"\r\n" + body


class Holding:
    """An app that holds a request open and tells what it sees of its client."""

    def __init__(self, *, started: bool = False) -> None:
        self.serving = asyncio.Event()
        self.gone = asyncio.Event()
        self.finish = asyncio.Event()
        self._started = started

    async def __call__(self, scope, receive, send) -> None:
        if scope["path"] != "/hold":
            await echo(scope, receive, send)
            return
        await whole_body(receive)
        watch = scope["extensions"][GONE]
        watch.watch(self.gone.set)
        if self._started:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
        self.serving.set()
        await self.finish.wait()
        watch.unwatch()
        if not self._started:
            await reply(send, b"held")
        else:
            await send({"type": "http.response.body", "body": b"last"})


# -- heads ---------------------------------------------------------------------------------------


async def test_a_usual_request_is_served_and_its_connection_kept():
    async with serving(echo) as server:
        client = await server.connect()

        first = await client.ask(GET)
        second = await client.ask(post(b"abc"))

        assert (first.status, first.body) == (200, b"/a ")
        assert (second.status, second.body) == (200, b"/p abc")


@pytest.mark.parametrize("cut", range(1, len(GET)))
async def test_a_head_may_arrive_in_any_two_pieces(cut):
    async with serving(echo) as server:
        client = await server.connect()
        await client.send(GET[:cut])
        await asyncio.sleep(0)

        answer = await client.ask(GET[cut:])

        assert answer.body == b"/a "


async def test_a_half_sent_head_is_answered_408_and_closed():
    async with serving(echo, QUICK) as server:
        client = await server.connect()
        await client.send(GET[:20])

        said = await client.closed()

        assert said.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"request_timeout"' in said


async def test_a_head_that_trickles_does_not_extend_its_time():
    async with serving(echo, QUICK) as server:
        client = await server.connect()

        async def trickle():
            await client.send(b"GET /a HTTP/1.1\r\n")
            while True:
                await client.send(b"a: b\r\n")
                await asyncio.sleep(0.005)

        trickling = asyncio.create_task(trickle())
        said = await client.closed()
        trickling.cancel()

        assert said == b"" or said.startswith(b"HTTP/1.1 408 ")


async def test_a_silent_connection_is_closed():
    async with serving(echo, QUICK) as server:
        client = await server.connect()

        said = await client.closed()

        assert said == b""


async def test_an_idle_connection_is_closed_after_its_time():
    async with serving(echo, QUICK) as server:
        client = await server.connect()
        await client.ask(GET)

        said = await client.closed()

        assert said == b""


async def flood(client, start: bytes, piece: bytes, most: int) -> int:
    """Send `piece` until the server closes; return the bytes it let us send."""
    sent = 0
    try:
        await client.send(start)
        while sent < most:
            await client.send(piece)
            sent += len(piece)
    except ConnectionError:
        pass
    return sent


@pytest.mark.parametrize("piece", [b"a: " + b"b" * 1000 + b"\r\n", b"b" * 1000])
async def test_a_hundred_megabytes_of_head_are_refused_early(piece):
    async with serving(echo) as server:
        client = await server.connect()

        sent = await flood(client, b"GET / HTTP/1.1\r\nx: ", piece * 100, 100_000_000)
        said = await client.closed()

        assert sent < 20_000_000  # what the two sockets buffer, far from all
        assert said == b"" or said.startswith(b"HTTP/1.1 431 ")


async def test_who_sent_too_long_a_head_still_reads_the_answer():
    async with serving(echo) as server:
        client = await server.connect()
        await client.send(b"GET / HTTP/1.1\r\nx: " + b"b" * 3_000_000)

        said = await client.closed()

        assert said.startswith(b"HTTP/1.1 431 ")
        assert said.endswith(b"}")


async def test_a_head_just_over_the_limit_in_one_read_is_refused():
    async with serving(echo) as server:
        client = await server.connect()

        answer = await client.ask(b"GET / HTTP/1.1\r\nx: " + b"b" * 65_536 + b"\r\n\r\n")

        assert (answer.status, answer.json()["error"]["code"]) == (431, "request_head_too_large")


async def test_a_large_head_within_the_limit_is_served():
    async with serving(echo) as server:
        client = await server.connect()

        answer = await client.ask(b"GET /big HTTP/1.1\r\nx: " + b"b" * 60_000 + b"\r\n\r\n")

        assert answer.body == b"/big "


@pytest.mark.parametrize(("count", "status"), [(128, 200), (129, 431), (10_000, 431)])
async def test_the_number_of_headers_is_bounded(count, status):
    async with serving(echo) as server:
        client = await server.connect()

        answer = await client.ask(b"GET /a HTTP/1.1\r\n" + b"a: b\r\n" * count + b"\r\n")

        assert answer.status == status


@pytest.mark.parametrize("end", [b" HTTP/1.1\r\n\r\n", b"x" * 70_000])
async def test_a_long_request_target_is_414(end):
    async with serving(echo) as server:
        client = await server.connect()
        await client.send(b"GET /" + b"x" * 20_000)

        await client.send(end)
        said = await client.closed()

        assert said.startswith(b"HTTP/1.1 414 ")


async def test_a_big_body_before_a_pipelined_head_does_not_count_to_that_head():
    async with serving(echo) as server:
        client = await server.connect()
        await client.send(post(b"x" * 200_000) + GET[:15])
        await client.answer()

        answer = await client.ask(GET[15:])

        assert answer.body == b"/a "


# -- bodies --------------------------------------------------------------------------------------


async def test_a_body_that_stops_is_answered_408():
    async with serving(echo, QUICK) as server:
        client = await server.connect()
        await client.send(post(b"x" * 100)[:-50])

        said = await client.closed()

        assert said.startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_moves_may_take_longer_than_the_idle_time():
    async with serving(echo, Limits(body_idle_seconds=0.2, sweep_seconds=0.01)) as server:
        client = await server.connect()
        await client.send(post(b"x" * 10)[:-10])

        for _ in range(10):
            await client.send(b"x")
            await asyncio.sleep(0.05)
        answer = await client.answer()

        assert answer.body == b"/p " + b"x" * 10


async def test_a_slow_answer_is_not_a_slow_client():
    app = Holding()
    async with serving(app, QUICK) as server:
        client = await server.connect()
        await client.send(b"GET /hold HTTP/1.1\r\n\r\n")
        await app.serving.wait()
        await asyncio.sleep(0.15)
        app.finish.set()

        answer = await client.answer()

        assert answer.body == b"held"


CHUNKED = b"POST /p HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


async def test_a_chunked_body_arrives_whole():
    async with serving(echo) as server:
        client = await server.connect()

        answer = await client.ask(CHUNKED + b"3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\n\r\n")

        assert answer.body == b"/p abcde"


@pytest.mark.parametrize("start", [b"0\r\n", b"3\r\nabc\r\n0\r\nx: ", b"3;"])
async def test_endless_trailers_and_chunk_extensions_are_refused(start):
    async with serving(echo) as server:
        client = await server.connect()
        line = b"y" * 1000 if start != b"0\r\n" else b"a: b\r\n" * 100

        sent = await flood(client, CHUNKED + start, line * 100, 100_000_000)
        said = await client.closed()

        assert sent < 20_000_000
        assert said == b"" or said.startswith(b"HTTP/1.1 400 ")


async def test_trailers_do_not_become_headers():
    seen = []

    async def app(scope, receive, send):
        await whole_body(receive)
        seen.extend(scope["headers"])
        await reply(send, b"")

    async with serving(app) as server:
        client = await server.connect()

        await client.ask(CHUNKED + b"3\r\nabc\r\n0\r\nx-api-key: stolen\r\n\r\n")

        assert [name for name, _ in seen] == [b"host", b"transfer-encoding"]


SMUGGLED = [
    b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
    b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    b"content-length: +3\r\n\r\nabc",
    b"content-length: 3, 3\r\n\r\nabc",
    b"content-length: -1\r\n\r\n",
    b"transfer-encoding: xchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"transfer-encoding: chunked, identity\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    b"transfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    b"transfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc",
    b"a: b\r\n c: d\r\n\r\n",
    b"a: b\rc: d\r\n\r\n",
    b"a: \x00\r\n\r\n",
    b"no colon\r\n\r\n",
]


@pytest.mark.parametrize("rest", SMUGGLED)
async def test_what_two_servers_could_read_differently_is_refused(rest):
    async with serving(echo) as server:
        client = await server.connect()
        await client.send(b"POST /p HTTP/1.1\r\nhost: x\r\n" + rest + GET)

        said = await client.closed()

        assert said.startswith(b"HTTP/1.1 400 ")
        assert b"/a " not in said
        assert said.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    "line", [b"GET\r\n", b"GET /\xff HTTP/1.1\r\n", b"CONNECT a:1 HTTP/1.1\r\n", b"\x16\x03\x01"]
)
async def test_what_is_not_http_is_refused(line):
    async with serving(echo) as server:
        client = await server.connect()
        await client.send(line + b"host: x\r\n\r\n")

        said = await client.closed()

        assert said.startswith(b"HTTP/1.1 400 ")


async def test_an_answer_before_the_end_of_a_body_reaches_the_client():
    async def refuse(scope, receive, send):
        await reply(send, b"too large")

    async with serving(refuse) as server:
        client = await server.connect()
        await client.send(post(b"x" * 5_000_000)[:-1])

        answer = await client.answer()
        await client.send(b"x")
        again = await client.ask(GET)

        assert (answer.body, again.body) == (b"too large", b"too large")


async def test_a_body_that_trickles_on_after_its_answer_is_cut_in_time():
    async def refuse(scope, receive, send):
        await reply(send, b"no")

    async with serving(refuse, QUICK) as server:
        client = await server.connect()
        await client.ask(b"POST / HTTP/1.1\r\ncontent-length: 1000000000\r\n\r\n")

        async def trickle():
            while True:
                await client.send(b"x")
                await asyncio.sleep(0.005)

        trickling = asyncio.create_task(trickle())
        said = await client.closed()
        trickling.cancel()

        assert said == b""


async def test_a_flood_of_body_after_its_answer_is_cut_by_its_size():
    async def refuse(scope, receive, send):
        await reply(send, b"no")

    async with serving(refuse, Limits(linger_bytes=1_000_000)) as server:
        client = await server.connect()
        head = b"POST / HTTP/1.1\r\ncontent-length: 1000000000\r\n\r\n"

        sent = await flood(client, head, b"x" * 100_000, 1_000_000_000)

        assert sent < 20_000_000


async def test_a_request_that_asks_to_upgrade_is_served_with_its_body():
    upgrade = (b"connection: Upgrade, HTTP2-Settings", b"upgrade: h2c", b"http2-settings: AAMA")
    body = b"GET /smuggled HTTP/1.1\r\n\r\n"
    async with serving(echo) as server:
        client = await server.connect()

        whole = await client.ask(post(body, *upgrade))
        await client.send(post(body, *upgrade)[:-5])
        split = await client.ask(body[-5:])
        after = await client.ask(GET)

        assert (whole.body, split.body) == (b"/p " + body, b"/p " + body)
        assert after.body == b"/a "


async def test_an_upgrade_with_a_chunked_body_is_refused():
    async with serving(echo) as server:
        client = await server.connect()
        head = CHUNKED.replace(b"host: x", b"connection: upgrade\r\nupgrade: h2c")
        await client.send(head + b"3\r\nabc\r\n0\r\n\r\n" + GET)

        said = await client.closed()

        assert said.startswith(b"HTTP/1.1 400 ")
        assert said.count(b"HTTP/1.1") == 1


# -- pipelining ----------------------------------------------------------------------------------


async def test_pipelined_requests_are_answered_in_order():
    async with serving(echo) as server:
        client = await server.connect()
        await client.send(b"".join(GET.replace(b"/a", b"/%d" % n) for n in range(20)))

        bodies = [(await client.answer()).body for _ in range(20)]

        assert bodies == [b"/%d " % n for n in range(20)]


async def test_half_a_head_behind_a_request_has_time_until_its_turn():
    app = Holding()
    limits = Limits(head_seconds=0.02, body_idle_seconds=DEADLINE, sweep_seconds=0.01)
    async with serving(app, limits) as server:
        client = await server.connect()
        await client.send(b"GET /hold HTTP/1.1\r\n\r\n" + GET[:15])
        await app.serving.wait()
        await asyncio.sleep(0.1)
        app.finish.set()
        await client.answer()

        answer = await client.ask(GET[15:])

        assert answer.body == b"/a "


async def test_garbage_behind_a_request_lets_its_answer_finish():
    app = Holding()
    async with serving(app) as server:
        client = await server.connect()
        await client.send(b"GET /hold HTTP/1.1\r\n\r\n")
        await app.serving.wait()
        await client.send(b"\x00garbage\r\n\r\n")
        await asyncio.sleep(0.01)
        app.finish.set()

        said = await client.closed()

        assert said.startswith(b"HTTP/1.1 200 ")
        assert said.endswith(b"held")
        assert said.count(b"HTTP/1.1") == 1


async def test_a_broken_body_behind_a_request_does_not_break_into_its_answer():
    app = Holding(started=True)
    async with serving(app) as server:
        client = await server.connect()
        await client.send(b"GET /hold HTTP/1.1\r\n\r\n")
        await app.serving.wait()
        await client.send(CHUNKED + b"zz\r\n")
        await asyncio.sleep(0.01)
        app.finish.set()

        said = await client.closed()

        assert said.count(b"HTTP/1.1") == 1
        assert b"last" in said


# -- clients who leave ---------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 10, 100_000, 1_000_000])
@pytest.mark.parametrize("started", [False, True])
async def test_a_handler_hears_at_once_that_its_client_left(size, started):
    app = Holding(started=started)
    async with serving(app) as server:
        client = await server.connect()
        head = b"POST /hold HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % size
        await client.send(head + b"x" * size)
        await asyncio.wait_for(app.serving.wait(), DEADLINE)

        client.leave()

        await asyncio.wait_for(app.gone.wait(), DEADLINE)


async def test_leaving_while_a_body_is_read_ends_the_reading():
    ended = asyncio.Event()

    async def app(scope, receive, send):
        assert await whole_body(receive) is None
        ended.set()

    async with serving(app) as server:
        client = await server.connect()
        await client.send(post(b"x" * 100)[:-50])
        await asyncio.sleep(0.01)

        client.leave()

        await asyncio.wait_for(ended.wait(), DEADLINE)


async def test_a_finished_request_hears_nothing_of_a_later_departure():
    calls = []
    released = asyncio.Event()

    async def app(scope, receive, send):
        scope["extensions"][GONE].watch(lambda: calls.append(scope["path"]))
        await reply(send, b"")
        if scope["path"] == "/last":
            await released.wait()

    async with serving(app) as server:
        client = await server.connect()
        await client.ask(GET)
        await client.ask(GET.replace(b"/a", b"/last"))

        client.leave()
        await server.emptied()
        released.set()

        assert calls == []


async def test_who_begins_to_watch_after_the_departure_is_told_at_once():
    told = asyncio.Event()
    arrived, left = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send):
        arrived.set()
        await left.wait()
        scope["extensions"][GONE].watch(told.set)

    async with serving(app) as server:
        client = await server.connect()
        await client.send(GET)
        await arrived.wait()
        client.leave()
        await server.emptied()

        left.set()

        await asyncio.wait_for(told.wait(), DEADLINE)


async def test_small_writes_are_not_held_back():
    seen: list[int] = []

    async def app(scope, receive, send):
        (connection,) = server.state.connections
        taken = connection.transport.get_extra_info("socket")
        seen.append(taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        await reply(send, b"")

    async with serving(app) as server:
        client = await server.connect()

        await client.ask(GET)

        assert seen[0]


# -- clients who do not read ---------------------------------------------------------------------


class Pouring:
    """An app that answers without end, or with `size` bytes at once, and tells of the departure."""

    def __init__(self, size: int = 0) -> None:
        self.gone = asyncio.Event()
        self._size = size

    async def __call__(self, scope, receive, send) -> None:
        if self._size:
            await reply(send, bytes(self._size))
            return
        scope["extensions"][GONE].watch(self.gone.set)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not self.gone.is_set():
            await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
            await asyncio.sleep(0)


async def test_a_client_who_does_not_read_a_stream_is_cut():
    app = Pouring()
    async with serving(app, QUICK) as server:
        client = await server.connect()

        await client.send(GET)

        await asyncio.wait_for(app.gone.wait(), DEADLINE)
        await server.emptied()


async def test_a_client_who_does_not_take_its_whole_answer_is_cut():
    async with serving(Pouring(64_000_000), QUICK) as server:
        client = await server.connect()

        await client.send(GET)

        await server.emptied()


async def test_a_client_who_reads_slowly_gets_everything():
    async with serving(Pouring(20_000_000), QUICK) as server:
        client = await server.connect()
        await client.send(GET)
        head, taken = await client.reader.readuntil(b"\r\n\r\n"), 0

        while taken < 20_000_000:
            taken += len(await asyncio.wait_for(client.reader.read(1_000_000), DEADLINE))
            await asyncio.sleep(0.002)

        assert head.startswith(b"HTTP/1.1 200")
        assert taken == 20_000_000


async def test_a_stream_to_a_client_of_http_1_0_ends_with_its_connection():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in (b"one ", b"two"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async with serving(app) as server:
        client = await server.connect()
        await client.send(GET.replace(b"HTTP/1.1", b"HTTP/1.0"))

        head, _, body = (await client.closed()).partition(b"\r\n\r\n")

        assert b"transfer-encoding" not in head.lower()
        assert body == b"one two"
