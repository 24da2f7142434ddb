"""Proving the ledger: everything that was posted is replayed, and every contradiction named.

Books and budgets say what contradicts itself in them, seals where their chain breaks. Here every
charge is read once: its legs, its price, its batch's digest, and the sums made of it.
"""

import hashlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.kit.ids import day
from meterway.kit.money import Nanos
from meterway.ledger.budgets import service as budgets
from meterway.ledger.charges import service as charges
from meterway.ledger.charges.receipts import Packed, unpack
from meterway.ledger.charges.types import Terms
from meterway.ledger.journal import service as journals
from meterway.ledger.seals import service as seals
from meterway.ledger.seals.types import Erased
from meterway.protocols.usage import Counts

PricerOf: TypeAlias = Callable[[Terms], Callable[[Counts], Nanos] | None]
"""Returns what computes prices again on a receipt's terms, from the counts of its usage.

None where the price they name is not known any more.
"""

KeyCounters: TypeAlias = Callable[[AsyncConnection], Awaitable[Mapping[int, tuple[int, Nanos]]]]
"""Returns how many calls and what fees each key counted."""

Progress: TypeAlias = Callable[[int, int], None]
"""Is told how many charges are read, and how many there are."""

_AT_ONCE: Final = 5_000
_TOLD: Final = 20
_LEAST_ID: Final = -(2**63)
_batch_of = itemgetter(5)
_Group: TypeAlias = tuple[int, int, int, int]
_Read: TypeAlias = tuple[Any, Packed]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. A ledger without `breaks` is sound.

    `quarantined` names journals that may hold leases and cannot be reached from here; `unsealed`
    counts the newest entries, which the next seal covers; `head` is the last seal's digest in hex:
    who keeps it elsewhere can tell later that nothing before it was changed.
    """

    breaks: tuple[str, ...]
    quarantined: tuple[str, ...]
    charges: int
    seals: int
    entries: int
    unsealed: int
    head: str


class _Told:
    """Contradictions, of one kind no more than somebody reads."""

    def __init__(self) -> None:
        self._kinds: dict[str, list[str]] = {}

    def tell(self, kind: str, what: str) -> None:
        self._kinds.setdefault(kind, []).append(what)

    def all(self) -> list[str]:
        found: list[str] = []
        for kind, told in self._kinds.items():
            found += told[:_TOLD]
            if len(told) > _TOLD:
                found.append(f"{len(told) - _TOLD} more of {kind}")
        return found


async def at_one_moment(connection: AsyncConnection) -> None:
    """Let a connection that has read nothing yet see one moment, however long it reads."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))


async def verify(
    connection: AsyncConnection,
    *,
    folder: Path | None = None,
    pricer_of: PricerOf | None = None,
    key_counters: KeyCounters | None = None,
    progress: Progress | None = None,
) -> Report:
    """Replay the ledger as it stands at one moment; nothing is changed.

    `connection` sees one moment (`at_one_moment`). `folder` is where this machine's journals lie.
    Raises `UnavailableError` where the database cannot be used.
    """
    told = _Told()
    scan = _Scan(connection, told, pricer_of)
    await scan.run(progress or (lambda _done, _total: None))
    await _check_days(connection, scan.groups, told)
    if key_counters is not None:
        await _check_keys(connection, key_counters, told)
    last = await seals.last(connection)
    entries = await seals.last_entry(connection)
    contradictions = await budgets.broken(connection) + await seals.broken(connection)
    return Report(
        breaks=tuple(contradictions + told.all()),
        quarantined=tuple(await _quarantined(connection, folder)),
        charges=scan.count,
        seals=last.batch,
        entries=entries,
        unsealed=entries - last.last_entry,
        head=last.digest.hex(),
    )


class _Batch:
    """What was read of a batch so far."""

    __slots__ = ("count", "hasher")

    def __init__(self) -> None:
        self.count = 0
        self.hasher = hashlib.sha256()


class _Scan:
    """One reading of all charges by call id; a batch is compared once all of it was met."""

    def __init__(
        self, connection: AsyncConnection, told: _Told, pricer_of: PricerOf | None
    ) -> None:
        self._connection = connection
        self._told = told
        self._pricer_of = pricer_of
        self._names: dict[int, str] = {}
        self._open: dict[int, _Batch] = {}
        self._expected: dict[int, tuple[int, bytes]] = {}
        self._through = 0
        self._parts: dict[int, Erased] = {}
        self._compared = 0
        self.count = 0
        self.groups: dict[_Group, list[int]] = {}

    async def run(self, progress: Progress) -> None:
        """Read everything."""
        self._through, self._parts = await seals.erasures(self._connection)
        total = await charges.count(self._connection)
        after = _LEAST_ID
        while rows := await charges.scan(self._connection, after, _AT_ONCE):
            after = rows[-1][0]
            self.count += len(rows)
            self._hash(rows)
            await self._compare()
            await self._check(rows)
            progress(self.count, total)
        await self._finish()

    def _hash(self, rows: Sequence[Any]) -> None:
        for number, run in groupby(rows, key=_batch_of):
            batch = self._open.get(number)
            if batch is None:
                batch = self._open[number] = _Batch()
            same = list(run)
            batch.count += len(same)
            batch.hasher.update(b"".join(map(seals.canonical, same)))

    async def _compare(self) -> None:
        """Compare the batches that are complete, and forget them."""
        if unknown := self._open.keys() - self._expected.keys():
            for number, seal in (await seals.of(self._connection, unknown)).items():
                part = self._parts.get(number)
                whole = (seal.charges, seal.content)
                self._expected[number] = whole if part is None else (part.left, part.digest)
        for number, batch in list(self._open.items()):
            count, content = self._expected.get(number, (None, b""))
            if batch.count == count and number > self._through:
                if batch.hasher.digest() != content:
                    self._told.tell("batches", f"a charge of batch {number} is not what was sealed")
                self._compared += 1
                del self._open[number], self._expected[number]

    async def _finish(self) -> None:
        for number, batch in self._open.items():
            sealed = self._expected.get(number)
            if sealed is None or number <= self._through:
                why = "that is not sealed" if sealed is None else "that was erased"
                self._told.tell("batches", f"there are charges of batch {number}, {why}")
            else:
                self._told.tell(
                    "batches", f"batch {number} has {batch.count} charges, not {sealed[0]}"
                )
        emptied = sum(not part.left for part in self._parts.values() if part.first > self._through)
        sealed_batches = await seals.charged(self._connection, self._through) - emptied
        met = self._compared + sum(number > self._through for number in self._open)
        if met < sealed_batches:
            self._told.tell("batches", f"all charges of {sealed_batches - met} batches are missing")

    async def _check(self, rows: Iterable[Any]) -> None:
        """Check each charge by itself and add it to the sums."""
        told, groups = self._told, self.groups
        alike: dict[Any, list[_Read]] = defaultdict(list)
        for row in rows:
            call_id, user_id, key_id, model_id, _, _, price, *legs, _, receipt = row
            if sum(legs) != price or min(legs) < 0:
                told.tell("legs", f"call {call_id}: who pays does not add up to its price")
            try:
                packed = unpack(receipt)
            except msgspec.MsgspecError:
                told.tell("receipts", f"call {call_id}: its receipt cannot be read")
                continue
            group = (user_id, day(call_id), key_id, model_id)
            sums = groups.get(group)
            if sums is None:
                sums = groups[group] = [0, 0, 0, 0]
            inputs, outputs = packed.tokens()
            sums[0] += 1
            sums[1] += inputs
            sums[2] += outputs
            sums[3] += price
            alike[model_id, packed.kind()].append((row, packed))
        if self._pricer_of is not None:
            await self._check_prices(alike.values(), self._pricer_of)

    async def _check_prices(self, alike: Collection[list[_Read]], pricer_of: PricerOf) -> None:
        """Price charges again; those of a kind have their names and terms in common."""
        firsts = [calls[0] for calls in alike]
        used = {number for row, packed in firsts for number in (row[3], *packed.names())}
        if unknown := used - self._names.keys():
            self._names |= await charges.names(self._connection, unknown)
        for calls in alike:
            try:
                pricer = pricer_of(charges.charge(*calls[0], self._names).receipt.terms)
            except KeyError:
                for row, _ in calls:
                    self._told.tell("receipts", f"call {row[0]}: a name of its receipt is missing")
                continue
            if pricer is None:
                continue
            for row, packed in calls:
                price = pricer(packed.usage)
                if price != row[6]:
                    self._told.tell(
                        "prices", f"call {row[0]}: its receipt comes to {price}, not to {row[6]}"
                    )


async def _check_days(
    connection: AsyncConnection, groups: Mapping[_Group, Sequence[int]], told: _Told
) -> None:
    """Compare the sums by day with the charges; they outlive those that were erased."""
    erased = await seals.erased(connection)
    days = await charges.days(connection)
    gone = 0
    for group in days.keys() | groups.keys():
        sums, here = days.get(group, (0, 0, 0, 0)), groups.get(group, (0, 0, 0, 0))
        missing = [kept - found for kept, found in zip(sums, here, strict=True)]
        gone += missing[0]
        if min(missing) < 0 or (not missing[0] and any(missing)):
            user_id, day, key_id, _ = group
            told.tell(
                "sums", f"the sums of user {user_id}, key {key_id} on day {day} are not its calls'"
            )
    if gone != erased:
        told.tell("sums", f"sums by day count {gone} calls without charges; {erased} were erased")


async def _check_keys(connection: AsyncConnection, key_counters: KeyCounters, told: _Told) -> None:
    """Compare what keys counted with the sums by day, which outlive the charges."""
    sums: dict[int, tuple[int, int]] = {}
    for (_, _, key_id, _), (calls, _, _, price) in (await charges.days(connection)).items():
        before = sums.get(key_id, (0, 0))
        sums[key_id] = (before[0] + calls, before[1] + price)
    counted = await key_counters(connection)
    for key_id in sorted(sums.keys() | counted.keys()):
        has, should = counted.get(key_id, (0, 0)), sums.get(key_id, (0, 0))
        if tuple(has) != should:
            told.tell(
                "keys",
                f"key {key_id} counts {has[0]} calls for {has[1]}, not {should[0]} for {should[1]}",
            )


async def _quarantined(connection: AsyncConnection, folder: Path | None) -> list[str]:
    """Name the open journals that are not here."""
    here = None if folder is None else journals.look(folder)
    found: list[str] = []
    for journal in await journals.unclosed(connection):
        if here is None or journal.place != here.place:
            found.append(f"{journal.name}, of the place {journal.place}")
        elif journal.name not in here.names:
            found.append(f"{journal.name}, whose folder is missing")
    return found
