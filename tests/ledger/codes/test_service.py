"""Redemption codes: shown once, stored as keyed hashes, and worth their amount once."""

import asyncio
import re

import pytest
from sqlalchemy import text

from meterway.db.engine import reading, transaction
from meterway.kit.money import MOST
from meterway.ledger.books import service as books
from meterway.ledger.books.types import Kind, Pots
from meterway.ledger.codes import service as codes
from meterway.ledger.codes.errors import (
    BadCodeError,
    CodeExpiredError,
    CodeNotFoundError,
    CodeUsedError,
)
from meterway.ledger.codes.types import Code, NewCodes
from tests.factories.purses import USER as USER_ID
from tests.factories.purses import available, broken

PEPPER = b"p" * 32
NOW = 1_800_000_000.0


async def _create(engine, **facts):
    async with transaction(engine) as tx:
        new = NewCodes(**{"amount": 50} | facts)
        return await codes.create(tx, PEPPER, new, now=NOW)


async def _redeem(engine, code, user_id=USER_ID, now=NOW + 1):
    async with transaction(engine) as tx:
        return await codes.redeem(tx, PEPPER, code, user_id, now=now)


async def _pots(engine, user_id=USER_ID):
    async with reading(engine) as connection:
        return (await books.pots(connection, [user_id]))[user_id]


@pytest.mark.parametrize("pot", [Kind.FREE, Kind.PAID])
async def test_code_fills_its_pot(engine, pot):
    [code] = await _create(engine, pot=pot)

    redeemed = await _redeem(engine, code)

    assert (redeemed.amount, redeemed.used_by, redeemed.used_at) == (50, USER_ID, NOW + 1)
    assert (await _pots(engine), await available(engine)) == (Pots(**{pot.value: 50}), 50)
    assert await broken(engine) == []


async def test_codes_differ_and_only_their_hashes_are_kept(engine):
    made = await _create(engine, count=20)

    async with reading(engine) as connection:
        rows = (await connection.execute(text("SELECT * FROM codes"))).all()
    assert len(set(made)) == len(rows) == 20
    assert all(re.fullmatch(r"MW(-[0-9A-HJKMNP-TV-Z]{5}){4}", code) for code in made)
    assert made[0][3:].encode() not in repr(rows).encode()


async def test_code_works_once(engine):
    [code] = await _create(engine)
    await _redeem(engine, code)

    with pytest.raises(CodeUsedError):
        await _redeem(engine, code)
    with pytest.raises(CodeUsedError):
        await _redeem(engine, code, user_id=8)

    assert (await _pots(engine), await _pots(engine, 8)) == (Pots(free=50), Pots())


async def test_one_of_many_who_redeem_at_once_wins(engine):
    [code] = await _create(engine)

    results = await asyncio.gather(
        *(_redeem(engine, code, user_id) for user_id in range(1, 11)), return_exceptions=True
    )

    winners = [one.used_by for one in results if isinstance(one, Code)]
    [winner] = winners
    assert winner is not None
    assert {type(one) for one in results} == {Code, CodeUsedError}
    pots = [await _pots(engine, user_id) for user_id in range(1, 11)]
    assert sum(one.free for one in pots) == 50
    assert pots[winner - 1] == Pots(free=50)


async def test_undone_redemption_leaves_the_code_good(engine):
    [code] = await _create(engine)

    async with engine.connect() as connection:
        await codes.redeem(connection, PEPPER, code, 8, now=NOW)
        await connection.rollback()

    assert (await _redeem(engine, code)).used_by == USER_ID


async def test_code_ends_with_its_time(engine):
    early, late = await _create(engine, count=2, expires_at=NOW + 10)

    await _redeem(engine, early, now=NOW + 9.999)
    with pytest.raises(CodeExpiredError):
        await _redeem(engine, late, now=NOW + 10)

    assert await _pots(engine) == Pots(free=50)


@pytest.mark.parametrize("change", [str.lower, lambda code: f" {code.replace('-', ' ')} "])
async def test_code_is_read_as_people_type_it(sqlite, change):
    [code] = await _create(sqlite)

    typed = change(code).replace("0", "o").replace("1", "l")

    assert (await _redeem(sqlite, typed)).amount == 50


@pytest.mark.parametrize("typed", ["", "MW", "MW-00000-00000-00000-00000", "\udcff", "x" * 10_000])
async def test_code_nobody_made_is_not_found(sqlite, typed):
    await _create(sqlite)

    with pytest.raises(CodeNotFoundError):
        await _redeem(sqlite, typed)


@pytest.mark.parametrize(
    "facts",
    [
        {"amount": 0},
        {"amount": -1},
        {"amount": MOST + 1},
        {"count": 0},
        {"count": 1001},
        {"pot": Kind.REVENUE},
        {"remark": "\0"},
        {"remark": "a" * 256},
        {"expires_at": NOW},
    ],
)
async def test_absurd_codes_are_refused(sqlite, facts):
    with pytest.raises(BadCodeError):
        await _create(sqlite, **facts)


async def test_codes_are_listed_with_who_used_them(engine):
    first, _ = await _create(engine, count=2, remark="fair", expires_at=NOW + 9)
    await _redeem(engine, first)

    async with reading(engine) as connection:
        used, unused = await codes.every(connection)

    assert (used.used_by, used.used_at, used.remark) == (USER_ID, NOW + 1, "fair")
    assert (unused.used_by, unused.used_at, unused.expires_at) == (None, None, NOW + 9)
