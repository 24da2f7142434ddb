"""WebSocket connections on real sockets, judged by the `websockets` client, and by raw frames."""

import asyncio
import os
import socket
import zlib
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from meterway.edge.errors import render
from meterway.edge.http import InFlight, begin, send_reply
from meterway.edge.limits import Limits
from meterway.edge.sockets.handshake import open_socket
from meterway.kit.errors import MeterwayError, UnauthorizedError
from meterway.protocols.dialects import Family
from tests.fakes.http_server import DEADLINE, serving

LIMIT = 64 * 1024
QUICK = Limits(
    body_idle_seconds=0.05,
    stall_seconds=0.05,
    ping_seconds=0.05,
    pong_seconds=0.05,
    sweep_seconds=0.01,
)
PING = Frame(Opcode.PING, b"").serialize(mask=False)
HANDSHAKE = (
    b"GET /socket HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n"
)


class Echo:
    """An app that opens a socket at `/socket` and says each message again.

    `hold` is held open until `finish`; `crash` raises; `fill` sends more than anybody buffers.
    """

    def __init__(self, room: int = 1024 * 1024) -> None:
        self.in_flight = InFlight(room)
        self.serving, self.gone, self.finish, self.ended = (asyncio.Event() for _ in range(4))
        self.sent = 0

    async def __call__(self, scope, receive, send) -> None:
        request = begin(scope, 1)
        try:
            if scope["path"] == "/refused":
                raise UnauthorizedError("Who are you?")
            if scope["path"] == "/plain":
                await send_reply(send, 200, [], b"plain")
            else:
                open_socket(scope, self, LIMIT, self.in_flight)
        except MeterwayError as error:
            told = render(error, Family.OPENAI, request.request_id)
            await send_reply(send, told.status, told.headers, told.body)

    def closed(self) -> None:
        self.ended.set()

    async def serve(self, opened, message) -> None:
        if message == b"crash":
            raise ValueError
        if message == b"fill":
            await self._fill(opened)
        if message == b"hold":
            opened.gone.watch(self.gone.set)
            self.serving.set()
            await self.finish.wait()
            opened.gone.unwatch()
        if message == b"leave":
            opened.close(1008, "The key is gone.")
        await opened.send(message)

    async def _fill(self, opened) -> None:
        opened.gone.watch(self.gone.set)
        while not opened.gone.happened:
            await opened.send(os.urandom(48 * 1024))
            self.sent += 1
            self.serving.set()
            await asyncio.sleep(0)


@asynccontextmanager
async def opened(app, limits=None, **options):
    options = {"ping_interval": None, "open_timeout": DEADLINE, "close_timeout": DEADLINE} | options
    async with (
        serving(app, limits) as server,
        connect(f"ws://127.0.0.1:{server.port}/socket", proxy=None, **options) as client,
    ):
        yield server, client


async def closed(client):
    """Wait for the close frame and return it."""
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                await client.recv()
            except ConnectionClosed as end:
                return end.rcvd


async def raw(server, head=HANDSHAKE):
    """Open a socket by hand."""
    client = await server.connect()
    answer = await client.ask(head + b"\r\n")
    assert answer.status == 101
    return client


def frame(data: bytes, opcode=Opcode.TEXT, **flags) -> bytes:
    return Frame(opcode, data, **flags).serialize(mask=True)


# -- the handshake -------------------------------------------------------------------------------


async def test_messages_are_answered_in_order():
    async with opened(Echo()) as (_, client):
        for text in ("one", "zwei", "三"):
            await client.send(text)

        assert [await client.recv() for _ in range(3)] == ["one", "zwei", "三"]


async def test_the_handshake_carries_the_request_id_and_no_context_is_kept():
    async with opened(Echo()) as (_, client):
        headers = client.response.headers

        assert headers["x-request-id"].startswith("req_")
        agreed = headers["sec-websocket-extensions"]
        assert "server_no_context_takeover; client_no_context_takeover" in agreed
        assert "server_max_window_bits=12" in agreed


async def test_a_refusal_before_the_upgrade_is_plain_http():
    async with serving(Echo()) as server:
        with pytest.raises(InvalidStatus) as caught:
            async with connect(f"ws://127.0.0.1:{server.port}/refused", proxy=None):
                pass

        assert caught.value.response.status_code == 401
        assert b"Who are you?" in caught.value.response.body


async def test_a_path_without_a_socket_serves_a_request_to_upgrade_as_it_is():
    async with serving(Echo()) as server:
        client = await server.connect()

        answer = await client.ask(HANDSHAKE.replace(b"/socket", b"/plain") + b"\r\n")
        again = await client.ask(b"GET /plain HTTP/1.1\r\nhost: x\r\n\r\n")

        assert (answer.status, answer.body) == (200, b"plain")
        assert (again.status, again.body) == (200, b"plain")


async def test_without_upgrade_426_names_the_protocol():
    async with serving(Echo()) as server:
        client = await server.connect()

        answer = await client.ask(b"GET /socket HTTP/1.1\r\nhost: x\r\n\r\n")

        assert (answer.status, answer.headers["upgrade"]) == (426, "websocket")
        assert answer.json()["error"]["code"] == "upgrade_required"


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"sec-websocket-version: 13", b"sec-websocket-version: 8", 400),
        (b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==", b"sec-websocket-key: short", 400),
        (b"upgrade: websocket", b"upgrade: h2c", 426),
        (b"HTTP/1.1\r\n", b"HTTP/1.0\r\n", 426),
    ],
)
async def test_an_invalid_handshake_is_refused(old, new, status):
    async with serving(Echo()) as server:
        client = await server.connect()

        answer = await client.ask(HANDSHAKE.replace(old, new) + b"\r\n")

        assert answer.status == status
        assert "error" in answer.json()


@pytest.mark.parametrize(
    "early",
    [
        b"\r\nGET /plain HTTP/1.1\r\nhost: x\r\n\r\n",
        b"\r\n" + frame(b"too early"),
        b"content-length: 3\r\n\r\nab",
    ],
)
async def test_a_client_that_does_not_wait_for_the_answer_is_refused(early):
    async with serving(Echo()) as server:
        client = await server.connect()

        answer = await client.ask(HANDSHAKE + early)

        assert answer.status == 400


# -- what a client may not do --------------------------------------------------------------------


async def test_a_message_over_the_limit_closes_with_1009():
    app = Echo()
    async with opened(app, compression=None) as (_, client):
        await client.send("x" * (LIMIT + 1))

        assert (await closed(client)).code == 1009
        assert app.in_flight.held == 0


async def test_a_message_in_pieces_is_one_and_its_sum_is_limited():
    async with opened(Echo(), compression=None) as (_, client):
        await client.send(["on", "", "e"])
        assert await client.recv() == "one"

        await client.send(["x" * (LIMIT - 1), "yy"])

        assert (await closed(client)).code == 1009


async def test_what_unpacks_to_too_much_closes_with_1009():
    app = Echo()
    async with serving(app) as server:
        offer = b"sec-websocket-extensions: permessage-deflate\r\n"
        client = await raw(server, HANDSHAKE + offer)
        machine = zlib.compressobj(wbits=-12)
        bomb = machine.compress(bytes(32 * LIMIT)) + machine.flush(zlib.Z_SYNC_FLUSH)
        wire = bytearray(frame(bomb))
        wire[0] |= 0b0100_0000

        await client.send(bytes(wire))

        assert (await client.closed())[2:4] == (1009).to_bytes(2, "big")
        assert app.in_flight.held == 0


async def test_a_binary_message_closes_with_1003():
    async with opened(Echo()) as (_, client):
        await client.send(b"\x00")

        assert (await closed(client)).code == 1003


async def test_an_unmasked_frame_closes_with_1002():
    async with serving(Echo()) as server:
        client = await raw(server)

        await client.send(Frame(Opcode.TEXT, b"x").serialize(mask=False))

        assert (await client.closed())[2:4] == (1002).to_bytes(2, "big")


async def test_messages_wait_while_one_is_served_and_no_more_than_a_few():
    app = Echo()
    async with opened(app) as (_, client):
        await client.send("hold")
        await app.serving.wait()
        for number in range(16):
            await client.send(str(number))
        app.finish.set()
        assert [await client.recv() for _ in range(17)] == ["hold", *map(str, range(16))]
        app.finish.clear()

        for _ in range(18):
            await client.send("hold")

        assert (await closed(client)).code == 1008
        assert app.in_flight.held == 0
        app.finish.set()


async def test_bytes_that_wait_are_held_and_given_back():
    app = Echo()
    async with serving(app) as server:
        client = await raw(server)
        await client.send(frame(b"hold"))
        await app.serving.wait()

        await client.send(frame(b"x" * 1000) + frame(b"y" * 500)[:300])
        await _until(lambda: app.in_flight.held >= 1000)
        client.leave()

        await server.emptied()
        assert app.in_flight.held == 0
        assert app.gone.is_set()
        assert app.ended.is_set()
        app.finish.set()


async def test_a_worker_that_holds_too_much_closes_with_1013():
    app = Echo(room=1000)
    async with opened(app, compression=None) as (_, client):
        await client.send("hold")
        await app.serving.wait()

        await client.send("x" * 2000)

        assert (await closed(client)).code == 1013
        assert app.in_flight.held == 0
        app.finish.set()


async def test_a_message_that_stops_arriving_closes_with_1008():
    async with serving(Echo(), QUICK) as server:
        client = await raw(server)

        await client.send(frame(b"x" * 100)[:50])

        assert (await client.closed())[2:4] == (1008).to_bytes(2, "big")


# -- silence, and slow readers -------------------------------------------------------------------


async def test_an_idle_socket_has_no_task_and_is_asked_whether_it_lives():
    async with serving(Echo(), QUICK) as server:
        client = await raw(server)

        for _ in range(3):
            asked = await asyncio.wait_for(client.reader.readexactly(2), DEADLINE)
            assert asked == PING
            assert not server.state.tasks
            await client.send(frame(b"", Opcode.PONG))

        await client.send(frame(b"still here"))
        assert (
            await asyncio.wait_for(client.reader.readexactly(12), DEADLINE) == b"\x81\x0astill here"
        )


async def test_a_client_that_does_not_answer_a_ping_is_cut():
    async with serving(Echo(), QUICK) as server:
        client = await raw(server)

        said = await client.closed()

        assert said == PING
        assert not server.state.connections


async def test_a_client_that_takes_nothing_is_cut():
    app = Echo()
    async with serving(app, QUICK) as server:
        with closing(socket.create_connection(("127.0.0.1", server.port))) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(HANDSHAKE + b"\r\n")
            client.setblocking(False)
            await asyncio.get_running_loop().sock_recv(client, 4096)
            client.send(frame(b"fill"))

            await asyncio.wait_for(app.gone.wait(), DEADLINE)

            await server.emptied()


async def test_an_answer_waits_for_a_slow_reader():
    app = Echo()
    async with serving(app) as server:
        client = await raw(server)
        await client.send(frame(b"fill"))
        await app.serving.wait()
        seen = -1
        while seen != app.sent:
            seen = app.sent
            for _ in range(100):
                await asyncio.sleep(0)

        await asyncio.wait_for(client.reader.readexactly(4 * 1024 * 1024), DEADLINE)

        await _until(lambda: app.sent > seen)
        client.leave()
        await asyncio.wait_for(app.gone.wait(), DEADLINE)


async def test_long_messages_are_compressed_and_short_ones_are_not():
    async with serving(Echo()) as server:
        client = await raw(server, HANDSHAKE + b"sec-websocket-extensions: permessage-deflate\r\n")

        await client.send(frame(b"short") + frame(b"l" * 5000))

        short = await asyncio.wait_for(client.reader.readexactly(7), DEADLINE)
        long = await asyncio.wait_for(client.reader.readexactly(2), DEADLINE)
        assert short == b"\x81\x05short"
        assert long[0] == 0xC1
        assert long[1] < 126


# -- ends ----------------------------------------------------------------------------------------


async def test_a_client_that_closes_is_answered_and_its_message_is_told():
    app = Echo()
    async with opened(app) as (server, client):
        await client.send("hold")
        await app.serving.wait()

        await client.close(1000)

        assert client.close_code == 1000
        await asyncio.wait_for(app.gone.wait(), DEADLINE)
        app.finish.set()
        await server.emptied()


async def test_the_application_may_close_with_a_code_of_its_own():
    async with opened(Echo()) as (_, client):
        await client.send("leave")

        end = await closed(client)

        assert (end.code, end.reason) == (1008, "The key is gone.")


async def test_a_crash_closes_with_1011():
    async with opened(Echo()) as (_, client):
        await client.send("crash")

        assert (await closed(client)).code == 1011


async def test_at_the_server_s_end_an_idle_socket_closes_with_1001():
    async with opened(Echo()) as (server, client):
        _shut_down(server)

        assert (await closed(client)).code == 1001
        await server.emptied()


async def test_at_the_server_s_end_the_answer_under_way_is_finished():
    app = Echo()
    async with opened(app) as (server, client):
        await client.send("hold")
        await app.serving.wait()
        await client.send("never served")

        _shut_down(server)
        app.finish.set()

        assert await client.recv() == "hold"
        assert (await closed(client)).code == 1001


async def test_a_client_that_does_not_answer_a_close_is_cut():
    async with serving(Echo(), QUICK) as server:
        client = await raw(server)
        await client.send(frame(b"leave"))
        connection: Any = next(iter(server.state.connections))

        connection.expire(0.0)
        while b"The key is gone." not in await client.reader.read(100):
            pass
        connection.expire(0.0)

        assert await client.closed() == b""


def _shut_down(server) -> None:
    for connection in list(server.state.connections):
        connection.shutdown()


async def _until(true) -> None:
    async with asyncio.timeout(DEADLINE):
        while not true():  # noqa: ASYNC110 - nothing tells when bytes have arrived
            await asyncio.sleep(0)
