"""What every transport does, on every event loop."""

import asyncio
import gzip
import socket
import ssl
import zlib

import pytest

from meterway.upstreams.errors import (
    ConnectError,
    ConnectTimeoutError,
    CutConnectionError,
    FirstByteTimeoutError,
    IdleTimeoutError,
    ProtocolError,
    ReplyTooLargeError,
)
from meterway.upstreams.transport import Url
from meterway.upstreams.types import Timeouts
from tests.fakes.upstream_server import (
    HEAD_CHUNKED,
    LAST_CHUNK,
    SERVING,
    End,
    UpstreamServer,
    chunk,
    head,
    reply,
)
from tests.upstreams.transports.exchanges import JSON, chunks, first, outgoing, send, whole

MB = 1024 * 1024
# What a transport is known not to do, and why: the one place where a row may opt out.
KNOWN_LIMITS = {
    ("reqwest", "abandoned call"): "pyreqwest 0.15 keeps the connection of a call abandoned before"
    " its head until the upstream answers or closes, whichever way the call is dropped",
}
SOON = Timeouts(connect=0.1, first_byte=0.1, idle=0.1)


async def freed(kind: str, server: UpstreamServer, answer: asyncio.Event) -> None:
    """Wait until an abandoned call is closed; by a known limit only after the `answer`."""
    if (kind, "abandoned call") in KNOWN_LIMITS:
        assert server.open
        answer.set()
    await server.all_closed()


class TestRequests:
    async def test_method_target_headers_and_body_arrive_as_given(self, transport, server):
        body = b'{"text": "\xc3\xa9"}'
        headers = (*JSON, (b"authorization", b"Bearer sk-1"), (b"x-two", b"a"), (b"x-two", b"b"))

        await whole(transport, outgoing(server.url("/v1/x?beta=1%20"), body, headers=headers))

        request = server.requests[0]
        assert (request.method, request.target) == ("POST", "/v1/x?beta=1%20")
        assert request.body == body
        assert request.header(b"content-length") == b"%d" % len(body)
        assert request.header(b"content-type") == b"application/json"
        assert request.header(b"authorization") == b"Bearer sk-1"
        assert [v for n, v in request.headers if n == b"x-two"] == [b"a", b"b"]
        assert request.header(b"host") == f"127.0.0.1:{server.port}".encode()

    async def test_an_uncompressed_answer_is_asked_for(self, transport, server):
        await whole(transport, outgoing(server.url()))

        assert server.requests[0].header(b"accept-encoding") == b"identity"

    async def test_the_callers_accept_encoding_is_kept(self, transport, server):
        headers = ((b"accept-encoding", b"gzip"),)

        await whole(transport, outgoing(server.url(), headers=headers))

        assert server.requests[0].header(b"accept-encoding") == b"gzip"

    async def test_a_get_has_no_body_and_no_length(self, transport, server):
        await whole(transport, outgoing(server.url(), b"", method="GET"))

        assert server.requests[0].method == "GET"
        assert server.requests[0].header(b"content-length") is None

    async def test_an_empty_post_says_length_zero(self, transport, server):
        await whole(transport, outgoing(server.url(), b""))

        assert server.requests[0].header(b"content-length") == b"0"

    @pytest.mark.parametrize("size", [1, 16 * 1024, 100_000, 256 * 1024 + 1, 20 * MB])
    async def test_a_body_of_any_size_arrives_whole(self, transport, server, size):
        body = bytes(range(251)) * (size // 251 + 1)

        await whole(transport, outgoing(server.url(), body))

        assert server.requests[0].body == body

    @pytest.mark.parametrize(
        "header",
        [
            (b"x-a", b"b\r\nx-evil: 1"),
            (b"x-a", b"b\nx-evil: 1"),
            (b"x-a", b"b\r"),
            (b"x-a", b"\0"),
            (b"x-a: b\r\nx-evil", b"1"),
            (b"x a", b"1"),
            (b"", b"1"),
            (b"X-Upper", b"1"),
            (b"host", b"evil"),
            (b"content-length", b"1"),
            (b"transfer-encoding", b"chunked"),
            (b"connection", b"close"),
        ],
    )
    async def test_a_header_that_would_change_the_request_is_refused(
        self, transport, server, header
    ):
        with pytest.raises(ValueError, match="eader"):
            await send(transport, outgoing(server.url(), headers=(*JSON, header)))

        assert server.connections == 0

    @pytest.mark.parametrize("target", ["/a b", "/a\r\nx: y", "/\x00", "/é", "/a#b"])
    async def test_a_target_that_would_change_the_request_is_refused(
        self, transport, server, target
    ):
        with pytest.raises(ValueError, match="target"):
            await send(transport, outgoing(server.url(target)))

        assert server.connections == 0

    async def test_a_method_nobody_knows_is_refused(self, transport, server):
        with pytest.raises(ValueError, match="method"):
            await send(transport, outgoing(server.url(), method="GET /x HTTP/1.1\r\n"))

        assert server.connections == 0


class TestResponses:
    async def test_status_and_headers_come_with_lower_case_names_and_duplicates(
        self, transport, server
    ):
        server.script(
            head(
                418, (b"X-MiXed", b"Kept"), (b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=2")
            ).replace(b"\r\n\r\n", b"\r\ncontent-length: 0\r\nx-empty:\r\n\r\n")
        )

        response = await send(transport, outgoing(server.url()))

        assert response.status == 418
        assert list(response.headers) == [
            (b"x-mixed", b"Kept"),
            (b"set-cookie", b"a=1"),
            (b"set-cookie", b"b=2"),
            (b"content-length", b"0"),
            (b"x-empty", b""),
        ]
        assert await chunks(response) == []

    async def test_a_redirect_is_handed_on_and_not_followed(self, transport, server):
        server.script(head(307, (b"location", b"/elsewhere"), (b"content-length", b"0")))

        response = await send(transport, outgoing(server.url()))

        assert response.status == 307
        assert await response.read(10) == b""
        assert len(server.requests) == 1

    async def test_a_chunk_comes_at_once_while_the_next_is_withheld(self, transport, server):
        gate = asyncio.Event()
        server.script(HEAD_CHUNKED, chunk(b"one"), gate, chunk(b"two"), LAST_CHUNK)

        response = await send(transport, outgoing(server.url()))
        early = await first(response)
        gate.set()

        assert early == b"one"
        assert await chunks(response) == [b"two"]

    async def test_the_head_comes_at_once_while_the_body_is_withheld(self, transport, server):
        gate = asyncio.Event()
        server.script(HEAD_CHUNKED, gate, LAST_CHUNK)

        response = await send(transport, outgoing(server.url()))

        assert response.status == 200
        await response.close()

    async def test_chunked_framing_cut_at_every_offset_gives_the_same_body(self, transport, server):
        answer = HEAD_CHUNKED + chunk(b"hello") + chunk(b", world") + b"0\r\nx-t: 1\r\n\r\n"
        bodies = set()

        for offset in range(1, len(answer)):
            gate = asyncio.Event()
            server.script(answer[:offset], gate, answer[offset:])
            reading = asyncio.ensure_future(whole(transport, outgoing(server.url())))
            await server.received(offset)
            await asyncio.sleep(0)
            gate.set()
            bodies.add(await reading)

        assert bodies == {b"hello, world"}

    async def test_a_body_of_known_length_cut_at_every_offset_is_the_same(self, transport, server):
        answer = reply(b"0123456789")
        bodies = set()

        for offset in range(1, len(answer)):
            gate = asyncio.Event()
            server.script(answer[:offset], gate, answer[offset:])
            reading = asyncio.ensure_future(whole(transport, outgoing(server.url())))
            await server.received(offset)
            await asyncio.sleep(0)
            gate.set()
            bodies.add(await reading)

        assert bodies == {b"0123456789"}

    async def test_a_body_without_length_ends_with_the_connection(self, transport, server):
        server.script(head(200), b"all ", b"of it", End.CLOSE)

        assert await whole(transport, outgoing(server.url())) == b"all of it"

    @pytest.mark.parametrize("status", [204, 304])
    async def test_an_answer_without_body_ends_with_its_head(self, transport, server, status):
        server.script(head(status))

        assert await whole(transport, outgoing(server.url())) == b""
        assert await whole(transport, outgoing(server.url())) == b"{}"
        assert server.connections == 1

    async def test_an_answer_to_head_has_no_body_whatever_its_length_says(self, transport, server):
        server.script(head(200, (b"content-length", b"1000")))

        response = await send(transport, outgoing(server.url(), b"", method="HEAD"))

        assert await response.read(10) == b""
        assert (b"content-length", b"1000") in response.headers
        assert await whole(transport, outgoing(server.url())) == b"{}"
        assert server.connections == 1

    async def test_interim_answers_are_passed_over(self, transport, server):
        early = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
        server.script(b"HTTP/1.1 100 Continue\r\n\r\n" + early, early + reply(b"final"))

        response = await send(transport, outgoing(server.url()))

        assert response.status == 200
        assert b"link" not in dict(response.headers)
        assert await response.read(10) == b"final"

    @pytest.mark.parametrize("size", [100_000, 30 * MB])
    async def test_a_body_of_any_size_comes_whole(self, transport, server, size):
        body = bytes(range(251)) * (size // 251 + 1)
        server.script(reply(body))

        assert await whole(transport, outgoing(server.url())) == body

    async def test_a_body_over_the_limit_is_refused_and_its_connection_closed(
        self, transport, server
    ):
        server.script(HEAD_CHUNKED, chunk(b"x" * 11), asyncio.Event())

        with pytest.raises(ReplyTooLargeError):
            await whole(transport, outgoing(server.url()), limit=10)

        await server.all_closed()

    async def test_a_body_of_exactly_the_limit_is_read(self, transport, server):
        server.script(reply(b"x" * 10))

        assert await whole(transport, outgoing(server.url()), limit=10) == b"x" * 10

    async def test_a_whole_body_over_the_limit_is_refused(self, transport, server):
        server.script(reply(b"x" * 11))

        with pytest.raises(ReplyTooLargeError):
            await whole(transport, outgoing(server.url()), limit=10)


class TestConnections:
    async def test_one_connection_serves_one_call_after_the_other(self, transport, server):
        for _ in range(5):
            await whole(transport, outgoing(server.url()))

        assert [request.connection for request in server.requests] == [0] * 5

    async def test_a_streamed_answer_frees_its_connection_at_its_end(self, transport, server):
        server.script(HEAD_CHUNKED, chunk(b"a"), LAST_CHUNK)

        await chunks(await send(transport, outgoing(server.url())))
        await whole(transport, outgoing(server.url()))

        assert server.connections == 1

    @pytest.mark.parametrize(
        "answer",
        [
            head(200, (b"connection", b"close"), (b"content-length", b"0")),
            b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        ],
    )
    async def test_a_connection_the_upstream_wants_closed_is_not_used_again(
        self, transport, server, answer
    ):
        server.script(answer)

        await whole(transport, outgoing(server.url()))
        await server.all_closed()
        await whole(transport, outgoing(server.url()))

        assert server.connections == 2

    async def test_a_kept_connection_closed_meanwhile_is_replaced(self, transport, server):
        server.script(reply(b"one"), End.CLOSE)

        await whole(transport, outgoing(server.url()))
        await server.all_closed()

        assert await whole(transport, outgoing(server.url())) == b"{}"
        assert server.connections == 2

    async def test_many_calls_at_once_get_each_its_own_answer(self, transport, server):
        for number in range(100):
            server.script(reply(b"%d" % number))

        answers = await asyncio.gather(
            *(whole(transport, outgoing(server.url())) for _ in range(100))
        )

        assert sorted(map(int, answers)) == list(range(100))

    async def test_an_answer_closed_early_closes_its_connection(self, transport, server):
        server.script(HEAD_CHUNKED, chunk(b"a"), asyncio.Event())

        response = await send(transport, outgoing(server.url()))
        await first(response)
        await response.close()
        await response.close()

        await server.all_closed()

    async def test_closing_an_unread_answer_closes_its_connection(self, transport, server):
        server.script(HEAD_CHUNKED, asyncio.Event())

        await (await send(transport, outgoing(server.url()))).close()

        await server.all_closed()

    async def test_closing_the_transport_closes_idle_connections(self, transport, server):
        await whole(transport, outgoing(server.url()))

        await transport.close()

        await server.all_closed()
        with pytest.raises(ConnectError):
            await send(transport, outgoing(server.url()))

    async def test_answers_never_mix_after_one_was_cut_off(self, transport, server):
        server.script(HEAD_CHUNKED, chunk(b"old"), asyncio.Event())
        server.script(reply(b"new"))

        await (await send(transport, outgoing(server.url()))).close()

        assert await whole(transport, outgoing(server.url())) == b"new"


class TestFailures:
    async def test_a_refused_connection_is_a_connect_error(self, transport):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]

        with pytest.raises(ConnectError, match=f"127.0.0.1:{port}"):
            await send(transport, outgoing(Url("http", "127.0.0.1", port, "/")))

    @pytest.mark.parametrize("how", [End.CLOSE, End.RESET])
    async def test_a_connection_cut_before_the_head_is_told(self, transport, server, how):
        server.script(how)

        with pytest.raises(CutConnectionError):
            await send(transport, outgoing(server.url()))

        assert len(server.requests) == 1

    async def test_a_connection_cut_within_the_head_is_told(self, transport, server):
        server.script(b"HTTP/1.1 200 OK\r\ncontent-", End.CLOSE)

        with pytest.raises(CutConnectionError):
            await send(transport, outgoing(server.url()))

    @pytest.mark.parametrize("how", [End.CLOSE, End.RESET])
    @pytest.mark.parametrize(
        "answer", [HEAD_CHUNKED + chunk(b"part"), head(200, (b"content-length", b"9")) + b"part"]
    )
    async def test_what_came_before_a_cut_is_read_and_the_cut_told(
        self, transport, server, answer, how
    ):
        gate = asyncio.Event()
        server.script(answer, gate, how)

        response = await send(transport, outgoing(server.url()))
        part = await first(response)
        gate.set()

        assert part == b"part"
        with pytest.raises(CutConnectionError):
            await first(response)

    async def test_a_body_without_length_that_ends_in_a_reset_is_cut(self, transport, server):
        gate = asyncio.Event()
        server.script(head(200), b"part", gate, End.RESET)

        response = await send(transport, outgoing(server.url()))
        part = await first(response)
        gate.set()

        assert part == b"part"
        with pytest.raises(CutConnectionError):
            await first(response)

    async def test_reading_whole_tells_a_cut(self, transport, server):
        server.script(HEAD_CHUNKED, chunk(b"part"), End.CLOSE)

        with pytest.raises(CutConnectionError):
            await whole(transport, outgoing(server.url()))

    @pytest.mark.parametrize(
        "answer",
        [
            b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
            b"HTTP/1.1 abc OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        ],
    )
    async def test_an_answer_that_is_not_http_is_told_and_its_connection_closed(
        self, transport, server, answer
    ):
        server.script(answer, asyncio.Event())

        with pytest.raises(ProtocolError):
            await send(transport, outgoing(server.url()))

        await server.all_closed()

    async def test_bad_framing_within_the_body_is_told(self, transport, server):
        server.script(HEAD_CHUNKED, chunk(b"good"), b"zz\r\nbad\r\n", asyncio.Event())

        with pytest.raises(ProtocolError):
            await whole(transport, outgoing(server.url()))

        await server.all_closed()

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(b"HTTP/1.1 200 OK\r\nx: " + b"a" * 8 * MB, id="one endless header"),
            pytest.param(b"HTTP/1.1 200 " + b"a" * 8 * MB, id="an endless reason"),
            pytest.param(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 1_000_000, id="endless headers"),
            pytest.param(
                head(200, (b"x", b"a" * 70_000), (b"content-length", b"1")), id="a big header"
            ),
            pytest.param(
                head(200, *[(b"x", b"y")] * 129, (b"content-length", b"0")), id="129 headers"
            ),
        ],
    )
    async def test_a_head_without_bounds_is_refused(self, transport, server, answer):
        server.script(answer, asyncio.Event())

        with pytest.raises(ProtocolError):
            await send(transport, outgoing(server.url()))

        await server.all_closed()


class TestTimeouts:
    async def test_a_handshake_that_never_ends_is_a_connect_timeout(self, transport):
        async with UpstreamServer(read_requests=False) as silent:
            url = Url("https", "127.0.0.1", silent.port, "/")

            with pytest.raises(ConnectTimeoutError):
                await send(transport, outgoing(url, timeouts=Timeouts(connect=0.1)))

    async def test_an_address_that_never_accepts_is_a_connect_timeout(self, transport):
        with socket.socket() as full, socket.socket() as one, socket.socket() as two:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for filler in (one, two):
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
            url = Url("http", "127.0.0.1", full.getsockname()[1], "/")

            with pytest.raises(ConnectTimeoutError):
                await send(transport, outgoing(url, timeouts=Timeouts(connect=0.1)))

    async def test_silence_before_the_head_is_a_first_byte_timeout(self, transport, server):
        server.script(asyncio.Event())

        with pytest.raises(FirstByteTimeoutError):
            await send(transport, outgoing(server.url(), timeouts=Timeouts(first_byte=0.1)))

    async def test_a_call_out_of_time_frees_its_connection(self, transport, kind, server):
        answer = asyncio.Event()
        server.script(answer, End.CLOSE)

        with pytest.raises(FirstByteTimeoutError):
            await send(transport, outgoing(server.url(), timeouts=SOON))

        await freed(kind, server, answer)

    async def test_an_upload_nobody_takes_is_a_first_byte_timeout(self, transport):
        async with UpstreamServer(read_requests=False) as deaf:
            request = outgoing(deaf.url(), bytes(20 * MB), timeouts=Timeouts(first_byte=0.2))

            with pytest.raises(FirstByteTimeoutError):
                await send(transport, request)

    async def test_silence_within_the_body_is_an_idle_timeout(self, transport, server):
        server.script(HEAD_CHUNKED, chunk(b"a"), asyncio.Event())

        response = await send(transport, outgoing(server.url(), timeouts=Timeouts(idle=0.1)))

        assert await first(response) == b"a"
        with pytest.raises(IdleTimeoutError):
            await first(response)
        await server.all_closed()

    async def test_a_call_on_a_kept_connection_has_its_own_limits(self, transport, server):
        server.script(reply(b""))
        server.script(asyncio.Event())
        await whole(transport, outgoing(server.url()))

        with pytest.raises(FirstByteTimeoutError):
            await send(transport, outgoing(server.url(), timeouts=Timeouts(first_byte=0.1)))


class TestCancelling:
    async def test_a_call_cancelled_before_the_head_frees_its_connection(
        self, transport, kind, server
    ):
        answer = asyncio.Event()
        server.script(answer, End.CLOSE)
        call = asyncio.create_task(send(transport, outgoing(server.url())))
        await server.received()

        call.cancel()

        with pytest.raises(asyncio.CancelledError):
            await call
        await freed(kind, server, answer)

    async def test_a_reader_cancelled_within_the_body_frees_its_connection(self, transport, server):
        server.script(HEAD_CHUNKED, chunk(b"a"), asyncio.Event())
        response = await send(transport, outgoing(server.url()))
        reading = asyncio.create_task(response.read(10))
        await asyncio.sleep(0)

        reading.cancel()

        with pytest.raises(asyncio.CancelledError):
            await reading
        await server.all_closed()

    async def test_a_cancelled_wait_for_a_chunk_loses_nothing(self, transport, server):
        gate = asyncio.Event()
        server.script(HEAD_CHUNKED, gate, chunk(b"late"), LAST_CHUNK)
        response = await send(transport, outgoing(server.url()))
        waiting = asyncio.create_task(first(response))
        await asyncio.sleep(0)

        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        gate.set()

        assert await chunks(response) == [b"late"]

    async def test_a_call_cancelled_at_any_turn_of_the_loop_leaves_nothing_behind(
        self, transport, server
    ):
        server.always(HEAD_CHUNKED, chunk(b"a"), chunk(b"b"), LAST_CHUNK)
        before = asyncio.all_tasks()

        for turns in range(40):
            call = asyncio.create_task(whole(transport, outgoing(server.url())))
            for _ in range(turns):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            assert await whole(transport, outgoing(server.url())) == b"ab"
        await transport.close()

        await server.all_closed()
        left = asyncio.all_tasks() - before
        assert [task for task in left if task.get_name() != SERVING] == []


class TestBackPressure:
    async def test_a_slow_reader_holds_the_upstream_back(self, transport, server):
        server.script(head(200, (b"content-length", b"%d" % (64 * MB))), *[bytes(MB)] * 64)

        response = await send(transport, outgoing(server.url("/big")))
        size = len(await first(response))
        for _ in range(300):
            await whole(transport, outgoing(server.url("/small")))
        sent_meanwhile = server.sent
        size += sum(map(len, await chunks(response)))

        assert sent_meanwhile < 32 * MB
        assert size == 64 * MB

    async def test_a_slow_reader_is_not_an_idle_upstream(self, transport, server):
        gate = asyncio.Event()
        server.script(HEAD_CHUNKED, chunk(b"a"), gate, chunk(bytes(MB)), LAST_CHUNK)
        response = await send(transport, outgoing(server.url(), timeouts=Timeouts(idle=0.2)))
        gate.set()

        for _ in range(3):  # each lasts a first-byte timeout: time passes and nobody reads
            server.script(asyncio.Event())
            with pytest.raises(FirstByteTimeoutError):
                await send(transport, outgoing(server.url(), timeouts=SOON))

        assert sum(map(len, await chunks(response))) == MB + 1


class TestTls:
    async def test_an_answer_comes_over_tls(self, trusting, trust):
        async with UpstreamServer(tls=trust.serve("127.0.0.1")) as server:
            server.script(reply(b"x" * MB))

            assert await whole(trusting, outgoing(server.url(), bytes(MB))) == b"x" * MB
            assert await whole(trusting, outgoing(server.url())) == b"{}"
            assert server.requests[0].body == bytes(MB)

    async def test_a_certificate_for_another_host_is_refused(self, trusting, trust):
        async with UpstreamServer(tls=trust.serve("elsewhere.example")) as server:
            with pytest.raises(ConnectError, match="ertificate"):
                await send(trusting, outgoing(server.url()))

            assert server.requests == []

    async def test_a_certificate_of_an_unknown_authority_is_refused(self, transport, trust):
        async with UpstreamServer(tls=trust.serve("127.0.0.1")) as server:
            with pytest.raises(ConnectError, match="ertificate"):
                await send(transport, outgoing(server.url()))

            assert server.requests == []

    async def test_plain_text_where_tls_is_expected_is_a_connect_error(self, transport):
        async with UpstreamServer(greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n") as server:
            url = Url("https", "127.0.0.1", server.port, "/")

            with pytest.raises(ConnectError):
                await send(transport, outgoing(url))

    async def test_an_old_version_of_tls_is_refused(self, trusting, trust):
        context = trust.serve("127.0.0.1")
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AES128-SHA")  # no forward secrecy

        async with UpstreamServer(tls=context) as server:
            with pytest.raises(ConnectError):
                await send(trusting, outgoing(server.url()))


class TestCompression:
    @pytest.mark.parametrize(
        ("coding", "compress"), [(b"gzip", gzip.compress), (b"deflate", zlib.compress)]
    )
    async def test_an_answer_compressed_unasked_is_decoded(
        self, transport, server, coding, compress
    ):
        plain = b'{"text": "hello"}' * 100
        server.script(reply(compress(plain), headers=((b"Content-Encoding", coding),)))

        response = await send(transport, outgoing(server.url()))

        assert await response.read(1 << 20) == plain
        assert {b"content-encoding", b"content-length"}.isdisjoint(dict(response.headers))

    async def test_a_bomb_is_refused_before_it_is_unpacked(self, transport, server):
        bomb = gzip.compress(bytes(100 * MB))
        server.script(reply(bomb, headers=((b"content-encoding", b"gzip"),)))
        response = await send(transport, outgoing(server.url()))

        with pytest.raises(ProtocolError):
            await chunks(response)

    async def test_empty_members_without_end_are_refused(self, transport, server):
        empty = gzip.compress(b"") * 5000
        server.script(reply(empty, headers=((b"content-encoding", b"gzip"),)))
        response = await send(transport, outgoing(server.url()))

        with pytest.raises(ProtocolError, match="over a limit"):
            await response.read(1 << 20)

    async def test_a_coding_we_cannot_undo_is_refused(self, transport, server):
        server.script(
            head(200, (b"content-encoding", b"br"), (b"content-length", b"9")), asyncio.Event()
        )

        with pytest.raises(ProtocolError, match="'br'"):
            await send(transport, outgoing(server.url()))

        await server.all_closed()
