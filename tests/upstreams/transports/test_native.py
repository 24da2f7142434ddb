"""What our own pool does besides: staleness, reuse, bounds of memory, and its one timer."""

import asyncio
import socket
import ssl

import pytest

from meterway.kit.tls import default_context
from meterway.upstreams.errors import (
    ConnectTimeoutError,
    CutConnectionError,
    FirstByteTimeoutError,
    ProtocolError,
)
from meterway.upstreams.transport import Url
from meterway.upstreams.transports.native import NativeTransport
from meterway.upstreams.transports.native.response import HIGH_WATER, NativeResponse
from meterway.upstreams.types import Timeouts
from tests.fakes.upstream_server import (
    HEAD_CHUNKED,
    LAST_CHUNK,
    End,
    UpstreamServer,
    chunk,
    head,
    reply,
)
from tests.upstreams.transports.exchanges import chunks, first, outgoing, send, whole

MB = 1024 * 1024


def only_connection(transport: NativeTransport):
    (connection,) = transport._open
    return connection


class TestStaleConnections:
    @pytest.mark.parametrize("how", [End.CLOSE, End.RESET])
    async def test_a_kept_connection_closed_on_the_next_request_is_replaced_once(
        self, native, server, how
    ):
        server.script(reply(b"one"))
        server.script(how)
        server.script(reply(b"again"))
        await whole(native, outgoing(server.url()))

        answer = await whole(native, outgoing(server.url(), b'{"n": 2}'))

        assert answer == b"again"
        assert [request.connection for request in server.requests] == [0, 0, 1]
        assert server.requests[1].raw == server.requests[2].raw

    async def test_the_second_try_is_the_last(self, native, server):
        server.script(reply(b"one"))
        server.script(End.CLOSE)
        server.script(End.CLOSE)
        await whole(native, outgoing(server.url()))

        with pytest.raises(CutConnectionError):
            await send(native, outgoing(server.url()))

        assert len(server.requests) == 3

    async def test_one_byte_of_an_answer_forbids_the_second_try(self, native, server):
        server.script(reply(b"one"))
        server.script(b"H", End.CLOSE)
        await whole(native, outgoing(server.url()))

        with pytest.raises(CutConnectionError):
            await send(native, outgoing(server.url()))

        assert len(server.requests) == 2

    async def test_an_interim_answer_forbids_the_second_try(self, native, server):
        server.script(reply(b"one"))
        server.script(b"HTTP/1.1 100 Continue\r\n\r\n", End.CLOSE)
        await whole(native, outgoing(server.url()))

        with pytest.raises(CutConnectionError):
            await send(native, outgoing(server.url()))

        assert len(server.requests) == 2

    async def test_a_close_after_the_window_is_a_failure_and_no_staleness(self, server):
        transport = NativeTransport(stale_window=-1.0)
        server.script(reply(b"one"))
        server.script(End.CLOSE)
        await whole(transport, outgoing(server.url()))

        with pytest.raises(CutConnectionError):
            await send(transport, outgoing(server.url()))

        assert len(server.requests) == 2
        await transport.close()


class TestThePool:
    async def test_the_last_used_connection_is_used_first(self, native, server):
        gates = [asyncio.Event(), asyncio.Event()]
        for gate in gates:
            server.script(gate, reply(b""))
        calls = {asyncio.ensure_future(whole(native, outgoing(server.url()))) for _ in gates}
        last = (await server.received(2)).connection
        for gate in gates:  # they become idle in the order in which the requests came
            gate.set()
            _, calls = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)

        for _ in range(3):
            await whole(native, outgoing(server.url()))

        assert [request.connection for request in server.requests[2:]] == [last] * 3

    async def test_idle_connections_over_the_maximum_are_closed(self, server):
        transport = NativeTransport(max_idle=2)

        await asyncio.gather(*(whole(transport, outgoing(server.url())) for _ in range(5)))
        await server.until(lambda: server.open == 2)

        assert transport.open_connections == 2
        await transport.close()

    async def test_an_idle_connection_expires(self, server):
        transport = NativeTransport(keep_idle=0.05)

        await whole(transport, outgoing(server.url()))
        await server.all_closed()

        assert transport.open_connections == 0
        await transport.close()

    async def test_another_host_or_scheme_never_gets_a_kept_connection(self, native, server):
        async with UpstreamServer() as other:
            await whole(native, outgoing(server.url()))
            await whole(native, outgoing(other.url()))
            url = Url("https", "127.0.0.1", server.port, "/")
            with pytest.raises(ConnectTimeoutError):
                await send(native, outgoing(url, timeouts=Timeouts(connect=0.1)))

        assert len(server.requests) == 1
        assert len(other.requests) == 1

    async def test_bytes_nobody_asked_for_close_an_idle_connection(self, native, server):
        gate = asyncio.Event()
        server.script(reply(b"one"), gate, b"HTTP/1.1 200 OK\r\n")
        await whole(native, outgoing(server.url()))

        gate.set()
        await server.all_closed()

        assert await whole(native, outgoing(server.url())) == b"{}"
        assert server.connections == 2

    @pytest.mark.parametrize("extra", [reply(b"poison"), b"HTTP/1.1 2", b"junk"])
    async def test_a_second_answer_on_the_heels_of_the_first_is_never_used(
        self, native, server, extra
    ):
        server.script(reply(b"one") + extra)

        answers = [await whole(native, outgoing(server.url())) for _ in range(2)]

        assert answers == [b"one", b"{}"]
        assert server.connections == 2

    async def test_a_body_after_an_answer_to_head_is_never_used(self, native, server):
        server.script(head(200, (b"content-length", b"6")) + b"poison")

        response = await send(native, outgoing(server.url(), b"", method="HEAD"))

        assert await response.read(10) == b""
        assert await whole(native, outgoing(server.url())) == b"{}"
        assert server.connections == 2

    async def test_nagle_is_off(self, native, server):
        await whole(native, outgoing(server.url()))

        sock = only_connection(native)._transport.get_extra_info("socket")

        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0

    async def test_calls_that_differ_in_one_header_differ_on_the_wire(self, native, server):
        for key in (b"one", b"two", b"one"):
            await whole(native, outgoing(server.url(), headers=[(b"authorization", key)]))

        sent = [request.header(b"authorization") for request in server.requests]
        assert sent == [b"one", b"two", b"one"]

    async def test_the_same_headers_with_another_method_or_address_are_another_call(
        self, native, server
    ):
        same = ((b"authorization", b"one"),)
        one, two = server.url("/one"), server.url("/two")
        for url, method in ((one, "POST"), (two, "POST"), (one, "GET"), (one, "POST")):
            await whole(native, outgoing(url, b"", method=method, headers=same))

        sent = [(request.method, request.target) for request in server.requests]
        assert sent == [("POST", "/one"), ("POST", "/two"), ("GET", "/one"), ("POST", "/one")]

    async def test_headers_changed_since_the_last_call_leave_as_they_are_now(self, native, server):
        headers = [(b"authorization", b"one")]
        await whole(native, outgoing(server.url(), headers=headers))

        headers[0] = (b"authorization", b"two")
        await whole(native, outgoing(server.url(), headers=headers))

        sent = [request.header(b"authorization") for request in server.requests]
        assert sent == [b"one", b"two"]

    async def test_a_thousand_sorts_of_calls_are_all_served(self, native, server):
        for number in range(1100):
            await whole(native, outgoing(server.url(f"/{number}"), b"", method="GET"))

        assert [request.target for request in server.requests] == [f"/{n}" for n in range(1100)]
        assert server.connections == 1

    async def test_closing_ends_a_call_under_way_as_cut(self, native, server):
        server.script(asyncio.Event())
        call = asyncio.ensure_future(send(native, outgoing(server.url())))
        await server.received()

        await native.close()

        with pytest.raises(CutConnectionError):
            await call


class TestBounds:
    async def test_an_upload_waits_for_the_peer(self, native):
        async with UpstreamServer(read_requests=False) as deaf:
            request = outgoing(deaf.url(), bytes(64 * MB), timeouts=Timeouts(first_byte=0.2))
            call = asyncio.ensure_future(send(native, request))
            await deaf.until(lambda: deaf.open == 1)

            for _ in range(200):
                await asyncio.sleep(0)
            waiting = only_connection(native)._transport.get_write_buffer_size()

            assert waiting <= MB
            with pytest.raises(FirstByteTimeoutError):
                await call

    async def test_an_answer_before_the_upload_ended_is_read_and_the_connection_dropped(
        self, native
    ):
        early = reply(b"too large", status=413)
        async with UpstreamServer(read_requests=False, deaf_answer=early) as deaf:
            response = await send(native, outgoing(deaf.url(), bytes(64 * MB)))

            assert response.status == 413
            assert await response.read(100) == b"too large"
            assert native.open_connections <= 1
            assert await _soon(lambda: native.open_connections == 0)

    async def test_unread_bytes_stay_within_the_high_water_mark_and_one_read(self, native, server):
        server.script(head(200, (b"content-length", b"%d" % (32 * MB))), *[bytes(MB)] * 32)
        response = await send(native, outgoing(server.url()))

        for _ in range(200):
            await whole(native, outgoing(server.url("/other")))

        assert isinstance(response, NativeResponse)
        assert response.size <= HIGH_WATER + 256 * 1024
        await response.close()

    async def test_a_connection_whose_last_answer_was_big_and_unread_reads_on(self, native, server):
        server.script(asyncio.Event())
        call = asyncio.ensure_future(send(native, outgoing(server.url())))
        await server.received()
        connection = only_connection(native)

        connection.data_received(reply(bytes(HIGH_WATER + 1)))  # all of it in one read
        response = await call

        assert connection._transport.is_reading()
        assert len(await response.read(MB)) == HIGH_WATER + 1

    @pytest.mark.parametrize(
        "flood",
        [
            pytest.param(b"1;" + b"x" * 2 * MB, id="an endless chunk extension"),
            pytest.param(b"0\r\nx: " + b"y" * 2 * MB, id="an endless trailer"),
            pytest.param(b"0\r\n" + b"x: y\r\n" * 200_000, id="endless trailers"),
        ],
    )
    async def test_framing_without_body_is_bounded(self, native, server, flood):
        server.script(HEAD_CHUNKED, flood, asyncio.Event())
        response = await send(native, outgoing(server.url()))

        with pytest.raises(ProtocolError):
            await chunks(response)

        await server.all_closed()

    async def test_endless_interim_answers_are_bounded(self, native, server):
        server.script(b"HTTP/1.1 102 Processing\r\n\r\n" * 10_000, asyncio.Event())

        with pytest.raises(ProtocolError):
            await send(native, outgoing(server.url()))

        await server.all_closed()

    async def test_a_connection_keeps_no_request_body_once_it_is_written(self, native, server):
        server.script(HEAD_CHUNKED, asyncio.Event())
        response = await send(native, outgoing(server.url(), bytes(MB)))

        assert only_connection(native)._unsent is None
        await response.close()

    async def test_chunks_that_came_together_are_read_as_one(self, native, server):
        server.script(HEAD_CHUNKED + chunk(b"a") + chunk(b"b") + LAST_CHUNK)

        response = await send(native, outgoing(server.url()))

        assert await chunks(response) == [b"ab"]


class TestTrust:
    def test_the_default_context_verifies_certificate_and_name(self):
        context = default_context()

        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname

    async def test_the_certificate_file_of_the_environment_is_honoured(self, monkeypatch, trust):
        monkeypatch.setenv("SSL_CERT_FILE", trust.ca_file)
        transport = NativeTransport()

        async with UpstreamServer(tls=trust.serve("127.0.0.1")) as server:
            assert await whole(transport, outgoing(server.url())) == b"{}"

        await transport.close()

    async def test_a_name_is_sent_to_the_server_and_checked(self, trust):
        transport = NativeTransport(tls=default_context(trust.ca_file))
        context = trust.serve("localhost")
        names = []
        context.sni_callback = lambda _, name, __: names.append(name)

        async with UpstreamServer(tls=context, host_name="localhost") as server:
            assert await whole(transport, outgoing(server.url())) == b"{}"

        assert names == ["localhost"]
        await transport.close()


async def test_a_first_chunk_cancelled_at_the_very_turn_it_came_is_kept(native, server):
    gate = asyncio.Event()
    server.script(HEAD_CHUNKED, gate, chunk(b"a"), LAST_CHUNK)
    response = await send(native, outgoing(server.url()))
    waiting = asyncio.ensure_future(first(response))
    gate.set()
    await server.until(lambda: True)
    for _ in range(20):
        if isinstance(response, NativeResponse) and response.size:
            break
        await asyncio.sleep(0)

    waiting.cancel()
    got = (await asyncio.gather(waiting, return_exceptions=True))[0]
    rest = await chunks(response)

    assert ([got] if isinstance(got, bytes) else []) + rest == [b"a"]


async def _soon(holds) -> bool:
    for _ in range(100):
        if holds():
            return True
        await asyncio.sleep(0)
    return False
