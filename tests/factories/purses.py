"""Journals without files, purses on them, and the settler's part played by hand."""

import itertools
from contextlib import asynccontextmanager

from sqlalchemy import text

from meterway.db.engine import reading, transaction
from meterway.kit.errors import UnavailableError
from meterway.ledger.books import service as books
from meterway.ledger.books.types import Account, Kind
from meterway.ledger.budgets import service as budgets
from meterway.ledger.budgets.board import Board
from meterway.ledger.budgets.purse import Purse
from meterway.ledger.budgets.types import Budget, BudgetKind

_numbers = itertools.count(1)
USER = 7
WALLET = Budget(BudgetKind.WALLET, USER)
KEY = Budget(BudgetKind.KEY, 70)


async def new_journal(engine):
    """Insert a journal and return its number."""
    name = f"journal-{next(_numbers)}"
    row = "INSERT INTO journals (name, place, segment, position, opened_at) "
    async with transaction(engine) as tx:
        added = await tx.execute(
            text(row + "VALUES (:name, 'here', 0, 0, 0) RETURNING id"), {"name": name}
        )
        return added.scalar_one()


async def top_up(engine, amount, user_id=USER):
    async with transaction(engine) as tx:
        await budgets.top_up(tx, user_id, amount, Kind.PAID, at=1.0, reference=None)


async def set_cap(engine, most, used=0):
    async with transaction(engine) as tx:
        await budgets.set_cap(tx, KEY, most, used)


async def new_purse(engine, clock, board, *, workers=1, slice_=10, opened=transaction):
    """Open a purse on a journal of its own; `journal_id` is told beside it."""
    journal_id = await new_journal(engine)
    board = Board(board)
    purse = Purse(engine, journal_id, clock, board, workers=workers, slice_=slice_, opened=opened)
    return purse, journal_id


async def settle(engine, journal_id, takes, user_id=USER):
    """Post what a hold took, as the settler does: the pots, the house, and the leases."""
    for budget_id, amount in takes:
        async with transaction(engine) as tx:
            is_wallet = text("SELECT kind = 'wallet' FROM budgets WHERE id = :id")
            if (await tx.execute(is_wallet, {"id": budget_id})).scalar_one():
                await _charge(tx, user_id, amount)
            await budgets.spent(tx, journal_id, {budget_id: amount})


async def _charge(tx, user_id, amount):
    pots = (await books.pots(tx, [user_id], lock=True))[user_id]
    free = min(pots.free, amount)
    legs = {Account(Kind.FREE, user_id): -free, Account(Kind.PAID, user_id): free - amount}
    await books.move(tx, {**legs, Account(Kind.REVENUE): amount})
    insert = (
        "INSERT INTO charges VALUES (:id, :user, 1, 1, 1, 1, :price, :free, :paid, 0, 0, 0, 0, '')"
    )
    values = {"id": next(_numbers), "user": user_id, "price": amount}
    await tx.execute(text(insert), values | {"free": free, "paid": amount - free})


async def broken(engine):
    async with reading(engine) as connection:
        return await budgets.broken(connection)


async def available(engine, budget=WALLET):
    query = "SELECT available FROM budgets WHERE kind = :kind AND owner = :owner"
    async with reading(engine) as connection:
        values = {"kind": budget.kind.value, "owner": budget.owner}
        return (await connection.execute(text(query), values)).scalar_one_or_none()


async def recall(engine, budget=WALLET):
    query = "SELECT recall FROM budgets WHERE kind = :kind AND owner = :owner"
    async with reading(engine) as connection:
        values = {"kind": budget.kind.value, "owner": budget.owner}
        return (await connection.execute(text(query), values)).scalar_one()


async def remaining(engine, journal_id, budget=WALLET):
    query = (
        "SELECT remaining FROM leases JOIN budgets b ON b.id = budget_id "
        "WHERE journal_id = :journal AND kind = :kind"
    )
    async with reading(engine) as connection:
        values = {"journal": journal_id, "kind": budget.kind.value}
        return (await connection.execute(text(query), values)).scalar_one_or_none() or 0


def known(purse, budget=WALLET):
    """What a purse's memory trusts, idle and held."""
    room = purse._rooms.get(budget)
    return (0, 0) if room is None else (room.idle, room.held)


class Weather:
    """A transaction opener whose next commits fail as `plan` says, one word each.

    `down`: it cannot be opened. `lost`: it commits, and the answer gets lost. `undone`: it rolls
    back, and the answer gets lost too. `fine`: as ever, and so after the last word.
    """

    def __init__(self, *plan):
        self.plan = list(plan)
        self.opened = 0

    @asynccontextmanager
    async def __call__(self, engine):
        word = self.plan.pop(0) if self.plan else "fine"
        self.opened += 1
        if word == "down":
            raise UnavailableError("down", retry_after=1.0)
        if word == "undone":
            try:
                async with transaction(engine) as tx:
                    yield tx
                    raise _Undone
            except _Undone:
                raise UnavailableError("undone", retry_after=1.0) from None
        async with transaction(engine) as tx:
            yield tx
        if word == "lost":
            raise UnavailableError("lost", retry_after=1.0)


class _Undone(Exception):  # noqa: N818 - no error: it makes the transaction roll back
    pass
