"""What a turn of the loop writes is written together, in order, and only where it still can be."""

import asyncio

import pytest

from meterway.kit.outbox import Outbox


class Socket(asyncio.Transport):
    """A transport that keeps what it is given, each write with the transport's name."""

    def __init__(self, name: str, wire: list[tuple[str, bytes]]) -> None:
        super().__init__()
        self.name = name
        self._wire = wire
        self.closed = False

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data) -> None:
        self._wire.append((self.name, data))

    def writelines(self, pieces) -> None:
        self._wire.append((self.name, b"".join(pieces)))


@pytest.fixture
def wire() -> list[tuple[str, bytes]]:
    return []


async def test_a_turns_writes_wait_for_its_end_and_keep_their_order(wire):
    outbox, one, two = Outbox(), Socket("one", wire), Socket("two", wire)

    outbox.post(one, b"a")
    outbox.post(two, (b"b", b"c"))
    outbox.post(one, b"d")
    before = list(wire)
    await asyncio.sleep(0)

    assert before == []
    assert wire == [("one", b"a"), ("two", b"bc"), ("one", b"d")]


async def test_the_next_turn_is_written_too(wire):
    outbox, socket = Outbox(), Socket("one", wire)
    outbox.post(socket, b"a")
    await asyncio.sleep(0)

    outbox.post(socket, b"b")
    await asyncio.sleep(0)

    assert wire == [("one", b"a"), ("one", b"b")]


async def test_a_flush_writes_now_and_only_once(wire):
    outbox, socket = Outbox(), Socket("one", wire)
    outbox.post(socket, b"a")

    outbox.flush()
    now = list(wire)
    await asyncio.sleep(0)

    assert now == wire == [("one", b"a")]


@pytest.mark.parametrize("data", [b"abc", (b"ab", b"c")])
async def test_more_than_its_room_is_written_at_once(wire, data):
    outbox, socket = Outbox(most=3), Socket("one", wire)
    outbox.post(socket, b"1")

    outbox.post(socket, data)

    assert wire == [("one", b"1"), ("one", b"abc")]


async def test_what_is_for_a_closed_transport_is_dropped_alone(wire):
    outbox, one, two = Outbox(), Socket("one", wire), Socket("two", wire)
    outbox.post(one, b"a")
    outbox.post(two, b"b")

    one.closed = True
    await asyncio.sleep(0)

    assert wire == [("two", b"b")]


async def test_what_comes_before_is_done_before_each_writing(wire):
    outbox, socket = Outbox(before=lambda: wire.append(("before", b""))), Socket("one", wire)

    outbox.post(socket, b"a")
    outbox.flush()
    await asyncio.sleep(0)  # nothing is left to write
    outbox.post(socket, b"b")
    await asyncio.sleep(0)

    assert wire == [("before", b""), ("one", b"a"), ("before", b""), ("one", b"b")]
