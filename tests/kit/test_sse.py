"""Server-sent events cut into blocks, wherever the network cut them."""

import pytest

from meterway.kit.sse import EventTooLongError, Splitter

BLOCKS = {
    "LF": [b"data: a\n\n", b"event: x\ndata: b\n\n", b": hi\n\n"],
    "CRLF": [b"data: a\r\n\r\n", b"data: b\r\ndata: c\r\n\r\n"],
    "CR": [b"data: a\r\r", b"data: b\rdata: c\r\r", b"data: d\n\n"],
    "mixed": [b"data: a\n\n", b"data: b\r\n\r\n", b"data: c\n\r\n", b"data: d\r\n\n"],
    "UTF-8": ["data: héllo 🎉 日本\r\n\r\n".encode(), "data: ü\n\n".encode()],
}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 1000])
@pytest.mark.parametrize("blocks", BLOCKS.values(), ids=BLOCKS.keys())
def test_blocks_are_the_same_wherever_the_stream_is_cut(blocks, size):
    whole, splitter = b"".join(blocks), Splitter()

    cut = [whole[at : at + size] for at in range(0, len(whole), size)]
    found = [block for piece in cut for block in splitter.feed(piece)]

    assert (found, splitter.rest()) == (blocks, b"")


def test_a_long_event_in_small_pieces_is_whole_at_its_end():
    piece, splitter = b"x" * 1000, Splitter()

    early = [block for _ in range(16_000) for block in splitter.feed(piece)]
    (block,) = splitter.feed(b"\n\n")

    assert early == []
    assert block == piece * 16_000 + b"\n\n"  # searched again for each piece it would take a minute


def test_an_unfinished_event_is_the_rest():
    splitter = Splitter()

    blocks = splitter.feed(b"data: a\n\ndata: b") + splitter.feed(b"c")

    assert blocks == [b"data: a\n\n"]
    assert splitter.rest() == b"data: bc"


@pytest.mark.parametrize("size", [1, 7, 64, 101])
def test_an_event_without_end_is_refused_at_the_limit(size):
    splitter = Splitter(limit=100)
    fed = [splitter.feed(b"x" * size) for _ in range(100 // size)]

    with pytest.raises(EventTooLongError, match="more than 100 bytes"):
        splitter.feed(b"x" * size)

    assert not any(fed)
