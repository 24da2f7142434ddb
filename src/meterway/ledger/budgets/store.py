"""The SQL of budgets and leases."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import func, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.db.rows import Among, change, fetch, fetch_among
from meterway.kit.money import Nanos
from meterway.ledger.budgets.tables import budgets, leases
from meterway.ledger.budgets.types import Budget, Refundable

_AT_ONCE = 500  # SQLite takes a bounded number of parameters
_KEY = tuple_(budgets.c.kind, budgets.c.owner, budgets.c.name)
_ENSURE = text(
    "INSERT INTO budgets (kind, owner, name, available, recall) "
    "VALUES (:kind, :owner, :name, :available, 0) ON CONFLICT (kind, owner, name) DO NOTHING"
)
_GIVE = text("UPDATE budgets SET available = available + :amount WHERE id = :id")
_ANSWER = text(
    "UPDATE budgets SET available = available + :amount, "
    "recall = CASE WHEN recall > :amount THEN recall - :amount ELSE 0 END WHERE id = :id"
)
_TAKE = text("UPDATE budgets SET available = available - :amount, recall = 0 WHERE id = :id")
_SET = text("UPDATE budgets SET available = :amount WHERE id = :id")
_RECALL = text("UPDATE budgets SET recall = :amount WHERE id = :id")
_LEASE = text(
    "INSERT INTO leases (budget_id, journal_id, remaining, turn) "
    "VALUES (:id, :journal_id, :amount, :turn) ON CONFLICT (budget_id, journal_id) "
    "DO UPDATE SET remaining = leases.remaining + excluded.remaining, turn = excluded.turn"
)
_LOWER = text(
    "UPDATE leases SET remaining = remaining - :amount, turn = COALESCE(:turn, turn) "
    "WHERE budget_id = :id AND journal_id = :journal_id"
)
_FORGET = text(
    "DELETE FROM leases WHERE budget_id = :id AND journal_id = :journal_id AND remaining = 0"
)
_LEASES = text(
    "SELECT budget_id, remaining, turn FROM leases WHERE journal_id = :journal_id "
    "ORDER BY budget_id"
)
_OF_LEASES = (
    "SELECT budget_id, remaining, turn FROM leases "
    "WHERE journal_id = :journal_id AND budget_id {among}"
)
_SOME_LEASES = Among(_OF_LEASES)
_LEASES_LOCKED = Among(_OF_LEASES, "ORDER BY budget_id", lock=True)
_END = text("DELETE FROM leases WHERE journal_id = :journal_id RETURNING budget_id, remaining")
_WAIT = text("SELECT id FROM journals WHERE id = :journal_id FOR UPDATE")
_OFF_BUDGETS = text(
    """
    WITH said (kind, owner, name, amount) AS (
        SELECT kind, owner, name, available FROM budgets
        UNION ALL SELECT b.kind, b.owner, b.name, l.remaining
                  FROM leases l JOIN budgets b ON b.id = l.budget_id
        UNION ALL SELECT CASE kind WHEN 'credit' THEN 'credit' ELSE 'wallet' END,
                         owner, name, -balance
                  FROM book_accounts WHERE kind IN ('free', 'paid', 'credit')
    )
    SELECT kind, owner, name, SUM(amount) AS surplus FROM said WHERE kind IN ('wallet', 'credit')
    GROUP BY kind, owner, name HAVING SUM(amount) <> 0 ORDER BY kind, owner, name LIMIT :most
    """
)
_NEGATIVE = text(
    "SELECT budget_id, journal_id, remaining FROM leases WHERE remaining < 0 "
    "ORDER BY budget_id, journal_id LIMIT :most"
)
_CHARGE = text("SELECT user_id, free, paid, credit, due FROM charges WHERE call_id = :call_id")


class Row(NamedTuple):
    """A budget as it is stored."""

    id: int
    available: Nanos
    recall: Nanos


async def ensure(tx: AsyncConnection, budget: Budget, available: Nanos) -> None:
    """Insert a budget where it is missing."""
    kind, owner, name = budget
    row = {"kind": kind.value, "owner": owner, "name": name, "available": available}
    await tx.execute(_ENSURE, row)


async def locked(tx: AsyncConnection, wanted: Sequence[Budget]) -> dict[Budget, Row]:
    """Return those budgets that exist; nobody else moves them before the transaction ends."""
    keys = {(kind.value, owner, name): Budget(kind, owner, name) for kind, owner, name in wanted}
    query = select(budgets).where(_KEY.in_(list(keys))).order_by(budgets.c.id).with_for_update()
    return {
        keys[row.kind, row.owner, row.name]: Row(row.id, row.available, row.recall)
        for row in await tx.execute(query)
    }


async def lock(tx: AsyncConnection, budget_ids: Sequence[int]) -> None:
    """Let nobody else move budgets before the transaction ends."""
    for some in _pieces(budget_ids):
        query = select(budgets.c.id).where(budgets.c.id.in_(some)).order_by(budgets.c.id)
        await tx.execute(query.with_for_update())


async def give(tx: AsyncConnection, amounts: Mapping[int, Nanos], *, answer: bool = False) -> None:
    """Add to what is available; with `answer` less is recalled then."""
    await tx.execute(_ANSWER if answer else _GIVE, _rows(amounts))


async def take(tx: AsyncConnection, amounts: Mapping[int, Nanos]) -> None:
    """Take from what is available; nobody waits for these budgets then."""
    await tx.execute(_TAKE, _rows(amounts))


async def set_available(tx: AsyncConnection, budget_id: int, amount: Nanos) -> None:
    """Set what is available."""
    await tx.execute(_SET, _rows({budget_id: amount}))


async def set_recall(tx: AsyncConnection, amounts: Mapping[int, Nanos]) -> None:
    """Set how much somebody waits for."""
    await tx.execute(_RECALL, _rows(amounts))


async def recalled(connection: AsyncConnection, among: Sequence[int]) -> frozenset[int]:
    """Return those of some budgets that somebody waits for."""
    found: set[int] = set()
    for some in _pieces(among):
        query = select(budgets.c.id).where(budgets.c.id.in_(some), budgets.c.recall > 0)
        found.update((await connection.execute(query)).scalars())
    return frozenset(found)


async def add_leases(
    tx: AsyncConnection, journal_id: int, amounts: Mapping[int, Nanos], turn: int
) -> None:
    """Add to leases, making those that are missing."""
    marks = {"journal_id": journal_id, "turn": turn}
    await tx.execute(_LEASE, [row | marks for row in _rows(amounts)])


async def lower_leases(
    tx: AsyncConnection, journal_id: int, amounts: Mapping[int, Nanos], turn: int | None
) -> None:
    """Take from leases; no `turn` leaves the one there is."""
    marks = {"journal_id": journal_id, "turn": turn}
    await change(tx, _LOWER, [{**row, **marks} for row in _rows(amounts)])


async def forget_leases(tx: AsyncConnection, journal_id: int, budget_ids: Iterable[int]) -> None:
    """Forget those leases that are empty."""
    rows = [{"id": budget_id, "journal_id": journal_id} for budget_id in sorted(budget_ids)]
    await change(tx, _FORGET, rows)


async def leases_of(
    connection: AsyncConnection,
    journal_id: int,
    budget_ids: Sequence[int] | None = None,
    *,
    lock: bool = False,
) -> dict[int, tuple[Nanos, int]]:
    """Return `remaining` and `turn` of a journal's leases, all or of some budgets."""
    mine = {"journal_id": journal_id}
    if budget_ids is None:
        rows = await fetch(connection, _LEASES, mine)
    else:
        query = _LEASES_LOCKED if lock else _SOME_LEASES
        rows = await fetch_among(connection, query, budget_ids, **mine)
    return {budget_id: (remaining, turn) for budget_id, remaining, turn in rows}


async def wait_for_changes(tx: AsyncConnection, journal_id: int) -> None:
    """Wait for leases that are on their way: each holds a share of its journal's row until then."""
    if tx.dialect.name == "postgresql":
        await tx.execute(_WAIT, {"journal_id": journal_id})


async def end_leases(tx: AsyncConnection, journal_id: int) -> dict[int, Nanos]:
    """Delete all leases of a journal; return what they held by budget."""
    rows = await tx.execute(_END, {"journal_id": journal_id})
    return {row.budget_id: row.remaining for row in rows}


async def leased(
    connection: AsyncConnection, budget_ids: Sequence[int], *, besides: int | None = None
) -> dict[int, Nanos]:
    """Return what the leases of budgets hold together, `besides` those of one journal."""
    query = (
        select(leases.c.budget_id, func.sum(leases.c.remaining).label("amount"))
        .where(leases.c.budget_id.in_(budget_ids))
        .group_by(leases.c.budget_id)
    )
    if besides is not None:
        query = query.where(leases.c.journal_id != besides)
    return {row.budget_id: int(row.amount) for row in await connection.execute(query)}


async def charge(connection: AsyncConnection, call_id: int) -> Refundable | None:
    """Return who paid for a call; its table belongs to a slice above this one."""
    row = (await connection.execute(_CHARGE, {"call_id": call_id})).one_or_none()
    if row is None:
        return None
    return Refundable(
        call_id=call_id,
        user_id=row.user_id,
        free=row.free,
        paid=row.paid,
        credit=row.credit,
        due=row.due,
    )


async def off_budgets(connection: AsyncConnection, most: int) -> list[tuple[str, int, str, Nanos]]:
    """Return budgets and by how much they exceed what their owner has."""
    rows = await connection.execute(_OFF_BUDGETS, {"most": most})
    return [(row.kind, row.owner, row.name, int(row.surplus)) for row in rows]


async def negative_leases(connection: AsyncConnection, most: int) -> list[tuple[int, int, Nanos]]:
    """Return budget, journal and amount of leases below nothing."""
    rows = await connection.execute(_NEGATIVE, {"most": most})
    return [(row.budget_id, row.journal_id, row.remaining) for row in rows]


def _rows(amounts: Mapping[int, Nanos]) -> list[dict[str, int]]:
    """Return parameters in the one order in which everybody locks."""
    return [{"id": budget_id, "amount": amounts[budget_id]} for budget_id in sorted(amounts)]


def _pieces(numbers: Sequence[int]) -> Iterator[Collection[int]]:
    """Cut numbers into what one statement takes, in the one order in which everybody locks."""
    ordered = sorted(numbers)
    for start in range(0, len(ordered), _AT_ONCE):
        yield ordered[start : start + _AT_ONCE]
