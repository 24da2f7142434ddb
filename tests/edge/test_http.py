"""Reading bodies: limits, encodings, bombs, and the bytes a worker holds."""

import gzip
import tracemalloc
import zlib

import pytest

from meterway.edge.http import ClientGoneError, InFlight, begin, read_body, request_of
from meterway.edge.inflate import UnsupportedEncodingError, inflate
from meterway.kit.errors import InvalidRequestError, TooLargeError, UnavailableError

LIMIT = 10_000


def scope_of(**headers: str):
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"headers": pairs}
    begin(scope, 1)
    return scope


def receiving(*pieces: bytes, gone: bool = False):
    """Hand out `pieces` as an ASGI server does."""
    messages = [
        {"type": "http.request", "body": piece, "more_body": gone or n + 1 < len(pieces)}
        for n, piece in enumerate(pieces)
    ]
    if gone:
        messages.append({"type": "http.disconnect"})
    waiting = iter(messages)

    async def receive():
        return next(waiting)

    return receive


async def read(scope, receive, in_flight=None, limit=LIMIT) -> bytes:
    return await read_body(scope, receive, limit, in_flight or InFlight(10 * LIMIT))


@pytest.mark.parametrize("pieces", [(b"abc",), (b"a", b"", b"bc"), (b"",)])
async def test_the_pieces_of_a_body_are_joined(pieces):
    body = await read(scope_of(), receiving(*pieces))

    assert body == b"".join(pieces)


async def test_a_declared_length_over_the_limit_is_refused_before_reading():
    with pytest.raises(TooLargeError):
        await read(scope_of(content_length=str(LIMIT + 1)), receiving())


async def test_a_longer_body_than_declared_is_refused_while_reading():
    with pytest.raises(TooLargeError):
        await read(scope_of(content_length="1"), receiving(b"x" * 6000, b"x" * 6000, b"never read"))


async def test_a_client_who_leaves_ends_the_reading():
    with pytest.raises(ClientGoneError):
        await read(scope_of(), receiving(b"abc", gone=True))


async def test_bytes_are_held_until_released_once():
    in_flight = InFlight(1000)
    scope = scope_of(content_length="300")

    await read(scope, receiving(b"x" * 300), in_flight)

    assert in_flight.held == 300
    request_of(scope).release()
    request_of(scope).release()
    assert in_flight.held == 0


async def test_a_full_worker_refuses_with_a_time_to_retry():
    in_flight = InFlight(1000)
    in_flight.take(800)

    with pytest.raises(UnavailableError) as refusal:
        await read(scope_of(content_length="300"), receiving(), in_flight)

    assert refusal.value.retry_after
    assert in_flight.held == 800


async def test_a_body_that_is_only_announced_keeps_nobody_else_out():
    in_flight = InFlight(1000)
    announcing = scope_of(content_length="900")
    await read(announcing, receiving(b"x"), in_flight)

    body = await read(scope_of(content_length="900"), receiving(b"y" * 900), in_flight)

    assert body == b"y" * 900
    assert in_flight.held == 901


async def test_an_undeclared_body_is_held_as_it_comes():
    in_flight = InFlight(1000)
    scope = scope_of()

    with pytest.raises(UnavailableError):
        await read(scope, receiving(*[b"x" * 100] * 11), in_flight)

    request_of(scope).release()
    assert in_flight.held == 0


PACKED = {
    "gzip": gzip.compress(b"hello" * 100),
    "x-gzip": gzip.compress(b"hello" * 50) + gzip.compress(b"hello" * 50),
    "GZIP ": gzip.compress(b"hello" * 100),
    "deflate": zlib.compress(b"hello" * 100),
    "Deflate": zlib.compress(b"hello" * 100, wbits=-zlib.MAX_WBITS),
    "identity": b"hello" * 100,
}


@pytest.mark.parametrize("encoding", PACKED)
async def test_a_packed_body_is_unpacked(encoding):
    scope = scope_of(content_encoding=encoding)

    body = await read(scope, receiving(PACKED[encoding]))

    assert body == b"hello" * 100


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress", "x" * 1000])
async def test_an_encoding_we_do_not_know_is_415_and_names_those_we_do(encoding):
    with pytest.raises(UnsupportedEncodingError, match="gzip, deflate or identity") as refusal:
        await read(scope_of(content_encoding=encoding), receiving(b"x"))

    assert refusal.value.status == 415
    assert len(refusal.value.message) < 200


def bomb() -> bytes:
    packer = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    return b"".join([packer.compress(bytes(1 << 20)) for _ in range(300)]) + packer.flush()


async def test_a_bomb_is_cut_at_the_limit():
    packed = bomb()
    tracemalloc.start()

    with pytest.raises(TooLargeError):
        await inflate(packed, "gzip", 5 << 20)

    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(packed) < 1 << 20
    assert most < 20 << 20  # of 300 MiB


async def test_unpacked_bytes_are_held_too():
    in_flight = InFlight(1000)
    scope = scope_of(content_encoding="gzip")

    with pytest.raises(TooLargeError):
        await read(scope, receiving(gzip.compress(bytes(5000))), in_flight)

    request_of(scope).release()
    assert in_flight.held == 0


async def test_many_gzip_members_are_fine_and_endless_ones_are_refused():
    member, empty = gzip.compress(b"ab"), gzip.compress(b"")

    assert await inflate(member * 1000, "gzip", LIMIT) == b"ab" * 1000
    with pytest.raises(InvalidRequestError, match="too many gzip members"):
        await inflate(empty * 200_000, "gzip", LIMIT)


async def test_what_follows_a_deflated_body_is_left_out():
    assert await inflate(zlib.compress(b"hello") + b"x" * 100_000, "deflate", LIMIT) == b"hello"


@pytest.mark.parametrize("cut", [0, 1, 5, 12])
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_cut_or_broken_packing_is_400(encoding, cut):
    whole = PACKED[encoding]

    with pytest.raises(InvalidRequestError):
        await inflate(whole[:cut], encoding, LIMIT)
    with pytest.raises(InvalidRequestError):
        await inflate(b"\xff" + whole, encoding, LIMIT)
