"""How soon the next turn of a long conversation stands as a request, on SQLite and without HTTP."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from meterway.auth.service import Authenticator
from meterway.auth.types import Principal
from meterway.bench import payloads, processes, rows
from meterway.bench.report import number
from meterway.bench.shop import MODEL, Shop, open_shop
from meterway.bench.stage import Stage
from meterway.bench.statistics import median
from meterway.bench.types import BenchOptions, Row
from meterway.db.engine import transaction
from meterway.edge.http import InFlight
from meterway.edge.openai.responses.turns import Turns
from meterway.edge.openai.shelf import Shelf
from meterway.edge.platform.envelope import Door
from meterway.kit.clock import SystemClock
from meterway.kit.json import RawObject, decode_top
from meterway.limits.service import Pace, create_counts, open_counts
from meterway.threads import items as kept_items
from meterway.threads.conversations import service as conversations
from meterway.threads.responses import service as responses
from meterway.threads.types import Item, Retention, StoredResponse
from meterway.threads.writer import Writer

_ITEMS: Final = 1_000
_IN_TURN: Final = 4
_READS: Final = 200
_BODY_LIMIT: Final = 32 * 1024 * 1024
_IN_FLIGHT: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Assembled:
    """What turns took from request to body: milliseconds of wall and of processor time, medians.

    Args:
        wall: Milliseconds.
        cpu: Milliseconds of all threads.
        items: How many items the body has.
        size: Bytes of its input.
    """

    wall: float
    cpu: float
    items: int
    size: int


async def assembling(stage: Stage, options: BenchOptions) -> tuple[Row, ...]:
    """Keep a thousand items both ways, and begin the next turn many times."""
    folder = stage.folder / "assembling"
    folder.mkdir()
    reads = _READS // 4 if options.quick else _READS
    with processes.pinned(stage.cores.measured):
        return figures(await measure(folder, _ITEMS, reads), _ITEMS)


async def measure(folder: Path, items: int, reads: int) -> dict[str, Assembled]:
    """Begin turns after so many items: of one conversation, and of a chain of responses."""
    async with open_shop(folder / "shop.db", 1) as shop, _shelf(shop, folder) as shelf:
        who = shop.customers[0]
        caller = Principal(key_id=who.key_id, user_id=who.user_id, key_name="sk-bench")
        turns, made = Turns(shelf), list(_items(items))
        ways = {
            "conversation": await _conversation(shelf, caller, made),
            "previous_response_id": await _chain(shelf, caller, made),
        }
        return {
            name: await _timed(turns, caller, _body(name, id_), reads) for name, id_ in ways.items()
        }


def figures(found: dict[str, Assembled], items: int) -> tuple[Row, ...]:
    """Return the row of the slower way; a body that lacks an item makes it invalid."""
    slowest = max(found.values(), key=lambda one: one.wall)
    each = ", ".join(
        f"by `{name}` {number(one.wall)} ms (CPU {number(one.cpu)})" for name, one in found.items()
    )
    note = f"{each}; {slowest.size / 1e3:.0f} KB of items on SQLite; medians"
    name = f"the next turn of a conversation of {items:,} items, assembled"
    row = rows.at_most("responses", name, slowest.wall, rows.ASSEMBLED_MS, "ms", note)
    lacking = [
        f"a body has {one.items} items instead of {items + 1}"
        for one in found.values()
        if one.items != items + 1
    ]
    return (rows.spoilt(row, lacking),)


@asynccontextmanager
async def _shelf(shop: Shop, folder: Path) -> AsyncIterator[Shelf]:
    """Open what a worker keeps responses with."""
    clock, in_flight = SystemClock(), InFlight(_IN_FLIGHT)
    create_counts(folder / "counts", 1)
    pace = Pace(open_counts(folder / "counts", 0), clock)
    authenticator = Authenticator(shop.engine, b"", clock)
    door = Door(authenticator=authenticator, in_flight=in_flight, pace=pace)
    writer = Writer(shop.engine)
    try:
        yield Shelf(
            door=door,
            engine=shop.engine,
            writer=writer,
            clock=clock,
            retention=Retention(30),
            body_limit=_BODY_LIMIT,
        )
    finally:
        await door.close()
        await authenticator.close()
        await writer.close()


def _items(count: int) -> Iterator[Item]:
    """Yield an agent's items: what its user asks, a call, what came back, what it says then."""
    for i in range(count):
        yield kept_items.made(payloads.encode(_item(i)))


def _item(place: int) -> dict[str, Any]:
    turn, step = divmod(place, _IN_TURN)
    call, seed = f"call_{turn:08d}", 1_000 + place
    match step:
        case 0:
            part = {"type": "input_text", "text": payloads.text(320, seed)}
            return {"type": "message", "role": "user", "content": [part]}
        case 1:
            arguments = payloads.encode({"path": f"src/file_{turn}.py", "limit": 200}).decode()
            return {
                "type": "function_call",
                "call_id": call,
                "name": "read",
                "arguments": arguments,
            }
        case 2:
            output = payloads.text(1_500, seed)
            return {"type": "function_call_output", "call_id": call, "output": output}
        case _:
            words = payloads.text(180, seed)
            said: dict[str, Any] = {"type": "output_text", "text": words, "annotations": []}
            return {"type": "message", "role": "assistant", "content": [said]}


async def _conversation(shelf: Shelf, caller: Principal, made: list[Item]) -> str:
    now = shelf.clock.now()
    async with transaction(shelf.engine) as tx:
        return (await conversations.create(tx, caller.user_id, {}, made, now=now)).id


async def _chain(shelf: Shelf, caller: Principal, made: list[Item]) -> str:
    """Keep two items a response, each continuing the one before; return the last one's id."""
    before: str | None = None
    some: list[StoredResponse] = []
    now = shelf.clock.now()
    for asked, said in zip(made[::2], made[1::2], strict=True):
        response = StoredResponse(
            id=responses.new_id(now),
            user_id=caller.user_id,
            key_id=caller.key_id,
            created_at=now,
            previous_id=before,
            status="completed",
            model=MODEL,
            input=kept_items.joined([asked.body]),
            body=b"{}",
            output=kept_items.joined([said.body]),
        )
        some.append(response)
        before = response.id
    async with transaction(shelf.engine) as tx:
        await responses.add_all(tx, some)
    assert before is not None, "there are items"
    return before


def _body(way: str, id_: str) -> bytes:
    return payloads.encode({"model": MODEL, "input": payloads.text(320, 3), way: id_})


async def _timed(turns: Turns, caller: Principal, body: bytes, reads: int) -> Assembled:
    walls, cpus = list[float](), list[float]()
    asked: RawObject = {}
    for _ in range(reads):
        cpu, wall = time.process_time(), time.perf_counter()
        asked = (await turns.begin(decode_top(body), caller)).body
        walls.append((time.perf_counter() - wall) * 1e3)
        cpus.append((time.process_time() - cpu) * 1e3)
    said = bytes(asked["input"])
    count = len(msgspec.json.decode(said, type=list[msgspec.Raw]))
    return Assembled(median(walls), median(cpus), count, len(said))
