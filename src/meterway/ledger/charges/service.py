"""Posting the calls of a batch, reading them back, and erasing them in time."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db.metadata import to_seconds
from meterway.db.rows import Values
from meterway.kit.ids import day, first_id
from meterway.ledger.books import service as books
from meterway.ledger.books.types import Account, Entry, Pots
from meterway.ledger.charges import batches, legs, receipts, store
from meterway.ledger.charges.tables import charges, usage_days
from meterway.ledger.charges.types import By, Charge, Filters, Posted, Record, Sum
from meterway.ledger.seals import service as seals
from meterway.ledger.seals.types import Erased, Seal

_DAY: Final = 86_400.0
_GAP: Final = 7  # days without calls that are passed over sooner than a query is made
_NEAR: Final = 3600.0
_LAST_ID: Final = 2**63 - 1
_BATCH: Final = 5
_NAMES_KEPT: Final = 50_000
_COLUMN = {By.DAY: "day", By.MODEL: "model_id", By.KEY: "key_id"}


class Names(dict[str, int]):
    """Texts and their numbers, as one settler remembers them.

    A text without a number is numbered 0 and noted, until `learn`. Numbers never change, but
    those learned in a transaction that was undone may be nobody's: then `clear`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._unknown: set[str] = set()

    def __missing__(self, text: str) -> int:
        """Note a text that has no number here."""
        self._unknown.add(text)
        return 0

    async def learn(self, tx: AsyncConnection) -> bool:
        """Number the texts that were noted; False where there were none."""
        unknown, self._unknown = self._unknown, set()
        if not unknown:
            return False
        if len(self) > _NAMES_KEPT:
            self.clear()
        kept = {receipts.kept(text) for text in unknown}
        found = await store.name_ids(tx, kept)
        if new := kept - found.keys():
            await store.add_names(tx, new)
            found |= await store.name_ids(tx, new)
        self.update({text: found[receipts.kept(text)] for text in unknown})
        return True


def distinct(records: Iterable[Record]) -> list[Record]:
    """Return the records in their order, each call once."""
    first: dict[int, Record] = {}
    for record in records:
        first.setdefault(record.call_id, record)
    return list(first.values())


async def unposted(tx: AsyncConnection, records: Iterable[Record]) -> list[Record]:
    """Return the records without charges, each call once, in their order."""
    found = distinct(records)
    known = await store.known(tx, {record.call_id for record in found})
    return [record for record in found if record.call_id not in known]


async def post(
    tx: AsyncConnection,
    names: Names,
    batch: int,
    records: Sequence[Record],
    pots: Mapping[int, Pots],
) -> Posted:
    """Insert the charges of calls that have none, and add them to the sums by day.

    `pots` is what the calls' users have now. The books, leases and keys are the caller's to move,
    in the same transaction. Raises SQLAlchemy's `IntegrityError` where a call has a charge.
    """
    split = legs.split(records, pots)
    rows = batches.rows(records, split, batch, names.__getitem__)
    while await names.learn(tx):
        rows = batches.rows(records, split, batch, names.__getitem__)
    sums = batches.added_up(records, rows)
    if rows:
        await store.add(tx, rows)
        await store.add_to_days(tx, [one.usage_day() for one in sums])
    deltas = legs.deltas(one.borne() for one in sums)
    return Posted(len(rows), seals.digest(sorted(rows)), deltas, batches.key_use(sums))


async def receipt(connection: AsyncConnection, user_id: int, call_id: int) -> Charge | None:
    """Return a user's call with its receipt; None where there is none, or none posted yet."""
    mine = (charges.c.call_id == call_id, charges.c.user_id == user_id)
    found = await _charges(connection, await store.some(connection, mine, 1))
    return found[0] if found else None


async def is_posted(connection: AsyncConnection, call_id: int) -> bool:
    """Say whether a call, whoever's, has been charged."""
    return bool(await store.some(connection, (charges.c.call_id == call_id,), 1))


async def page(
    connection: AsyncConnection,
    user_id: int,
    before: int | None,
    limit: int,
    filters: Filters = Filters(),  # noqa: B008 - a frozen value
) -> list[Charge]:
    """Return at most `limit` of a user's calls, youngest first, from before a call id on."""
    first = 0 if filters.since is None else first_id(filters.since)
    end = _LAST_ID if filters.until is None else first_id(filters.until)
    end = end if before is None else min(end, before)
    asked = {"user_id": user_id}  # then what is rarer as a rule: it is compared first
    if filters.model is not None:
        numbers = await store.name_ids(connection, [receipts.kept(filters.model)])
        asked["model_id"] = next(iter(numbers.values()), 0)
    if filters.key_id is not None:
        asked["key_id"] = filters.key_id
    mine = [charges.c[name] == value for name, value in asked.items()]
    ranges = [(first, end)]
    if len(asked) > 1:  # what may be rare is looked for around the days that have any
        days = [usage_days.c[name] == value for name, value in asked.items()]
        within = usage_days.c.day.between(day(first), day(end))
        ranges = _ranges(await store.days_with(connection, [*days, within]), first, end)
    rows: list[Any] = []
    for least, most in ranges:
        between = (charges.c.call_id >= least, charges.c.call_id < most)
        rows += await store.some(connection, (*mine, *between), limit - len(rows))
        if len(rows) == limit:
            break
    return await _charges(connection, rows)


def _ranges(days: Iterable[int], first: int, end: int) -> list[tuple[int, int]]:
    """Return the call ids of days within bounds, both from the youngest on; short gaps included."""
    found: list[tuple[int, int]] = []
    before = 0
    for one in days:
        least, most = max(first, first_id(one * _DAY)), min(end, first_id((one + 1) * _DAY))
        if found and before - one <= _GAP:
            most = found.pop()[1]
        found.append((least, most))
        before = one
    return found


async def _charges(connection: AsyncConnection, rows: Sequence[Any]) -> list[Charge]:
    """Turn rows into charges, asking for the names they use at once."""
    packed = [receipts.unpack(row.receipt) for row in rows]
    used = {number for one in packed for number in one.names()} | {row.model_id for row in rows}
    names = await store.name_texts(connection, used) if used else {}
    return [charge(row, one, names) for row, one in zip(rows, packed, strict=True)]


def charge(row: Any, packed: receipts.Packed, names: Mapping[int, str]) -> Charge:
    """Return a row's charge. Raises `KeyError` for a name that is not there."""
    call_id, user_id, key_id, model_id, channel_id, batch, price, *legs_and_cost, _ = row
    free, paid, credit, due, overrun, cost = legs_and_cost
    return Charge(
        call_id=call_id,
        user_id=user_id,
        key_id=key_id,
        model=names[model_id],
        channel_id=channel_id,
        batch=batch,
        price=price,
        free=free,
        paid=paid,
        credit=credit,
        due=due,
        overrun=overrun,
        cost=cost,
        billing=packed.billing(names),
        receipt=packed.receipt(call_id, names),
    )


async def summary(
    connection: AsyncConnection, user_id: int, by: By, since: int, until: int
) -> list[Sum]:
    """Return a user's sums over whole days (since the epoch, UTC), `until` excluded."""
    conditions = (
        usage_days.c.user_id == user_id,
        usage_days.c.day >= since,
        usage_days.c.day < until,
    )
    rows = await store.sums(connection, _COLUMN[by], conditions)
    names: Mapping[int, str] = {}
    if by is By.MODEL and rows:
        names = await store.name_texts(connection, {row.of for row in rows})
    return [
        Sum(
            of=names[row.of] if by is By.MODEL else int(row.of),
            calls=int(row.calls),
            input_tokens=int(row.input_tokens),
            output_tokens=int(row.output_tokens),
            price=int(row.price),
        )
        for row in rows
    ]


async def scan(connection: AsyncConnection, after: int, limit: int) -> Sequence[Values]:
    """Return at most `limit` charges as they are stored, by call id, from after one on."""
    return await store.scan(connection, after, limit)


async def count(connection: AsyncConnection) -> int:
    """Return how many charges there are."""
    return await store.count(connection)


async def names(connection: AsyncConnection, numbers: Collection[int]) -> dict[int, str]:
    """Return the texts of numbers."""
    return await store.name_texts(connection, numbers)


async def days(connection: AsyncConnection) -> dict[tuple[int, int, int, int], tuple[int, ...]]:
    """Return all sums by day: (calls, input, output, price) of (user, day, key, model number)."""
    return await store.days(connection)


async def erase_before(tx: AsyncConnection, moment_: float, *, at: float, most: int = 5000) -> int:
    """Erase whole batches posted before a moment, about `most` calls; return how many calls.

    Sums by day stay; what the calls moved stays in the books as an entry. Both moments in seconds.
    """
    await books.lock(tx)
    through, parts = await seals.erasures(tx)
    after = through
    while batches := await _older(tx, after, moment_, most):
        if rows := await _rows_of(tx, batches, parts):
            await _erase(tx, rows, [Erased(through + 1, batches[-1].batch)], at)
            return len(rows)
        after = batches[-1].batch  # these have none: entries were sealed, or a user was erased
    return 0


async def _older(tx: AsyncConnection, after: int, moment_: float, most: int) -> list[Seal]:
    """Return the seals that follow one and are older than a moment, of about `most` calls."""
    found: list[Seal] = []
    for seal in await seals.following(tx, after, most):
        if to_seconds(seal.at) >= moment_ or sum(max(0, one.charges) for one in found) >= most:
            break
        found.append(seal)
    return found


async def erase_user(tx: AsyncConnection, user_id: int, *, at: float, most: int = 500) -> int:
    """Erase a user's oldest calls, at most `most`; return how many. Else as `erase_before`."""
    await books.lock(tx)
    rows = await store.oldest_of(tx, user_id, most)
    if not rows:
        return 0
    _, parts = await seals.erasures(tx)
    touched = await seals.of(tx, {row[_BATCH] for row in rows})
    gone = {row[0] for row in rows}
    left = [row for row in await _rows_of(tx, list(touched.values()), parts) if row[0] not in gone]
    kept: dict[int, list[Values]] = {number: [] for number in sorted(touched)}
    for row in left:
        kept[row[_BATCH]].append(row)
    erased = [
        Erased(number, number, len(some), seals.digest(some)) for number, some in kept.items()
    ]
    await _erase(tx, rows, erased, at)
    return len(rows)


async def _rows_of(
    connection: AsyncConnection, batches: Sequence[Seal], parts: Mapping[int, Erased]
) -> list[Values]:
    """Return every charge of some batches, looking first where their call ids should lie."""
    numbers = [seal.batch for seal in batches if seal.charges > 0]
    if not numbers:
        return []
    expected = sum(
        parts[seal.batch].left if seal.batch in parts else max(0, seal.charges) for seal in batches
    )
    moments = [to_seconds(seal.at) for seal in batches]
    near = (first_id(min(moments) - _NEAR), first_id(max(moments) + _NEAR))
    rows = await store.within(connection, numbers, near)
    if len(rows) < expected:  # long calls, or a clock that jumped
        rows = await store.within(connection, numbers, (0, _LAST_ID))
    return rows


async def _erase(
    tx: AsyncConnection, rows: Sequence[Values], erased: Sequence[Erased], at: float
) -> None:
    """Delete charges; an entry takes their place in the books, a seal in the chain."""
    moved = {account: amount for account, amount in (await _moved(tx, rows)).items() if amount}
    if moved:
        reason = f"{len(rows)} calls were erased"
        await books.post(
            tx, Entry(kind="erased", postings=tuple(moved.items()), at=at, reason=reason)
        )
        await books.move(tx, {account: -amount for account, amount in moved.items()})
    await store.remove(tx, [row[0] for row in rows])
    await seals.add_erasure(tx, await seals.last(tx), erased, charges=len(rows), at=at)


async def _moved(connection: AsyncConnection, rows: Iterable[Values]) -> dict[Account, int]:
    """Return what charges moved, by account."""
    packed = [(row, receipts.unpack(row[-1])) for row in rows]
    used = {number for _, one in packed for number in one.names()}
    texts = await store.name_texts(connection, used) if used else {}
    return legs.deltas(
        legs.Borne(row[1], row[4], one.billing(texts), row[6], row[12], legs.Legs(*row[7:12]))
        for row, one in packed
    )
