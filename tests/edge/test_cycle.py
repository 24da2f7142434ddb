"""What an application may send, and what leaves on the wire then."""

import asyncio

import pytest

from meterway.edge.http import head_of
from tests.fakes.http_server import DEADLINE, serving

GET = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


def _app(*messages, raised: list[BaseException] | None = None):
    async def app(scope, receive, send) -> None:
        try:
            for message in messages:
                await send(message)
        except RuntimeError as error:
            if raised is None:
                raise
            raised.append(error)
            await send({"type": "http.response.body"})

    return app


def _start(*headers, status: int = 200) -> dict[str, object]:
    return {"type": "http.response.start", "status": status, "headers": headers}


def _body(body: bytes, *, more: bool = False) -> dict[str, object]:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def _said(app, request: bytes = GET) -> tuple[bytes, bytes]:
    async with serving(app) as server:
        client = await server.connect()
        await client.send(request)
        head, _, body = (await client.closed()).partition(b"\r\n\r\n")
        return head, body


async def test_a_body_of_known_length_is_sent_as_it_is():
    head, body = await _said(_app(_start((b"content-length", b"5")), _body(b"hello")))

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"transfer-encoding" not in head
    assert body == b"hello"


async def test_a_large_body_follows_its_head_whole():
    large = bytes(range(256)) * 1024

    _, body = await _said(_app(_start((b"content-length", b"%d" % len(large))), _body(large)))

    assert body == large


async def test_a_body_of_unknown_length_is_chunked():
    head, body = await _said(
        _app(_start(), _body(b"hello", more=True), _body(b"", more=True), _body(b" world"))
    )

    assert b"\r\ntransfer-encoding: chunked" in head
    assert body == b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"


async def test_head_is_answered_without_a_body():
    head, body = await _said(
        _app(_start((b"content-length", b"5")), _body(b"hello")), GET.replace(b"GET", b"HEAD")
    )

    assert b"content-length: 5" in head
    assert body == b""


async def test_no_content_has_neither_length_nor_chunks():
    head, body = await _said(_app(_start(status=204), _body(b"")))

    assert b"transfer-encoding" not in head
    assert body == b""


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: x", b"a\nb", b"a\rb", b"a\0b"])
async def test_a_header_that_would_break_the_framing_is_refused(value):
    head, _ = await _said(_app(_start((b"x-name", value)), _body(b"")))

    assert head.startswith(b"HTTP/1.1 500")
    assert b"set-cookie" not in head


LINES = b"x-left: 3\r\nx-reset: 1m0s"


async def test_lines_that_are_written_out_leave_as_they_are():
    said = [head_of(200, [(b"x-a", b"b")], LINES), _body(b"hello")]

    head, body = await _said(_app(*said))

    assert head.split(b"\r\n")[1:] == [
        b"x-a: b",
        b"connection: close",
        b"transfer-encoding: chunked",
        *LINES.split(b"\r\n"),
    ]
    assert body == b"5\r\nhello\r\n0\r\n\r\n"


async def test_a_header_among_such_lines_is_looked_at_all_the_same():
    head, _ = await _said(_app(head_of(200, [(b"x-a", b"b\r\nset-cookie: x")], LINES), _body(b"")))

    assert head.startswith(b"HTTP/1.1 500")
    assert b"set-cookie" not in head


async def test_a_header_name_that_would_break_the_framing_is_refused():
    head, _ = await _said(_app(_start((b"x-name: a\r\nset-cookie", b"x")), _body(b"")))

    assert head.startswith(b"HTTP/1.1 500")
    assert b"set-cookie" not in head


async def test_an_application_that_fails_or_says_nothing_is_a_500():
    async def failing(scope, receive, send) -> None:
        raise ValueError("inside")

    failed, body = await _said(failing)
    silent, _ = await _said(_app())

    assert failed.startswith(b"HTTP/1.1 500")
    assert silent.startswith(b"HTTP/1.1 500")
    assert b"inside" not in body


async def test_an_answer_left_unfinished_ends_the_connection():
    _, body = await _said(_app(_start(), _body(b"hello", more=True)))

    assert body == b"5\r\nhello\r\n"


async def test_a_body_in_many_pieces_is_received_whole_and_then_waits_for_the_clients_leave():
    received: list[object] = []
    over = asyncio.Event()

    async def app(scope, receive, send) -> None:
        await asyncio.sleep(0)
        while (message := await receive())["type"] != "http.disconnect":
            received.append(message["body"])
            if not message["more_body"]:
                over.set()
        received.append("gone")
        left.set()

    left = asyncio.Event()
    async with serving(app) as server:
        client = await server.connect()
        await client.send(
            b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
            b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"
        )
        async with asyncio.timeout(DEADLINE):
            await over.wait()
            client.leave()
            await left.wait()

    assert received[-1] == "gone"
    assert b"".join(piece for piece in received if isinstance(piece, bytes)) == b"abc"


@pytest.mark.parametrize("body", [b"four", b"sixsix"])
async def test_a_body_of_another_length_than_announced_is_refused(body):
    raised: list[BaseException] = []

    await _said(_app(_start((b"content-length", b"5")), _body(body), raised=raised))

    assert "content-length" in str(raised[0])


async def test_messages_out_of_order_are_refused():
    first: list[BaseException] = []
    twice: list[BaseException] = []

    await _said(_app(_body(b"early"), _start(), raised=first))
    await _said(_app(_start(), _start(), raised=twice))

    assert "http.response.body" in str(first[0])
    assert "http.response.start" in str(twice[0])


async def test_an_application_may_end_the_connection():
    head, _ = await _said(
        _app(_start((b"connection", b"close"), (b"content-length", b"0")), _body(b"")),
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    )

    assert head.count(b"connection: close") == 1


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/a/b", "/a/b", b""),
        (b"/a?x=1&y=%20", "/a", b"x=1&y=%20"),
        (b"/a%2Fb%20c", "/a/b c", b""),
        (b"http://host/a?x", "/a", b"x"),
        (b"/a?", "/a", b""),
    ],
)
async def test_the_target_is_told_as_asgi_says(target, path, query):
    seen: list[dict[str, object]] = []

    async def app(scope, receive, send) -> None:
        seen.append(dict(scope))
        await send(_start((b"content-length", b"0")))
        await send(_body(b""))

    await _said(app, GET.replace(b"/ ", target + b" ", 1))

    assert (seen[0]["path"], seen[0]["query_string"]) == (path, query)
    assert (seen[0]["method"], seen[0]["http_version"]) == ("GET", "1.1")


async def test_an_answer_leaves_whole_where_the_server_ends_in_the_same_turn():
    async def app(scope, receive, send) -> None:
        await send(_start((b"content-length", b"5")))
        await send(_body(b"hello"))
        for connection in server.state.connections:
            connection.shutdown()

    async with serving(app) as server:
        client = await server.connect()
        await client.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        said = await client.closed()

    assert said.endswith(b"\r\n\r\nhello")


async def test_an_application_that_never_waits_is_held_to_what_the_client_takes():
    piece, sent = b"x" * 65_536, []

    async def app(scope, receive, send) -> None:
        await send(_start())
        for _ in range(1_000):
            await send(_body(piece, more=True))
            sent.append(len(piece))

    async with serving(app) as server:
        client = await server.connect()
        await client.send(GET)
        await client.reader.readexactly(1)
        held = sum(sent)

    assert held < 500 * len(piece)  # what sockets hold differs between systems
