"""Erasing a user from the command line: calls, keys and kept replies go, sums and books stay."""

import asyncio
import sqlite3

import pytest

from meterway.db.engine import open_engine, transaction
from meterway.keys import service as keys
from meterway.ledger.books import service as books
from meterway.ledger.charges import service as charges
from meterway.ledger.charges.types import Funding
from meterway.ledger.seals import service as seals
from tests.factories.charges import AT, new_receipt, new_record
from tests.factories.databases import sqlite_url

EMAIL = "someone@example.org"


async def _post(shell, *records):
    """Post calls as the settler does, their seal and the wallet included."""
    engine = open_engine(sqlite_url(shell.data / "meterway.db"))
    async with transaction(engine) as tx:
        before = await seals.last(tx)
        pots = await books.pots(tx, {one.user_id for one in records}, lock=True)
        posted = await charges.post(tx, charges.Names(), before.batch + 1, records, pots)
        await books.move(tx, posted.deltas)
        await keys.count_use(tx, posted.keys)
        await seals.add(tx, before, charges=posted.count, content=posted.digest, at=AT)
    await engine.dispose()


def _rows(shell, query):
    with sqlite3.connect(shell.data / "meterway.db") as database:
        rows = database.execute(query).fetchall()
    database.close()
    return rows


@pytest.fixture
def served(shell):
    """A user with two keys and some calls, beside the administrator who has one of each."""
    user = int(shell.json("user", "create", "--email", EMAIL)["id"])
    ids = [int(shell.json("key", "create", "--user", EMAIL)["id"]) for _ in range(2)]
    facts = {"funding": Funding.DUE, "model": "gpt-4o", "price": 0, "cost": 0}
    facts["receipt"] = new_receipt(price_id=0)  # free of charge
    mine = [new_record(user_id=user, key_id=key, **facts) for key in ids for _ in range(300)]
    asyncio.run(_post(shell, *mine, new_record(user_id=1, key_id=1, **facts)))
    return user


def test_an_erased_users_calls_and_keys_are_gone_and_the_sums_stay(shell, served):
    told = shell.json("user", "erase", EMAIL, "--yes")

    assert told == {"email": EMAIL, "keys": 2, "calls": 600}
    assert _rows(shell, "SELECT user_id FROM charges") == [(1,)]
    days = f"SELECT SUM(calls) FROM usage_days WHERE user_id = {served}"
    assert _rows(shell, days) == [(600,)]
    listed = {one["email"]: one["disabled"] for one in shell.json("user", "list")}
    assert listed == {"admin@localhost": False, EMAIL: True}
    assert _rows(shell, "SELECT COUNT(*) FROM keys WHERE deleted_at IS NOT NULL") == [(2,)]


def test_what_stays_is_proven_to_be_whole(shell, served):
    shell.run("user", "erase", EMAIL, "--yes")

    told = shell.json("ledger", "verify")

    assert (told["breaks"], told["charges"]) == ([], 1)


def test_kept_replies_go_with_their_user_alone(shell, served):
    insert = "INSERT INTO repeatable_replies VALUES (?, x'00', x'00', NULL, x'00', 0, 1)"
    with sqlite3.connect(shell.data / "meterway.db") as database:
        database.executemany(insert, [(served,), (1,)])
    database.close()

    shell.run("user", "erase", EMAIL, "--yes")

    assert _rows(shell, "SELECT user_id FROM repeatable_replies") == [(1,)]


def test_what_was_said_goes_with_its_user_alone(shell, served):
    conversation = "INSERT INTO conversations VALUES (?, ?, 0, '{}', 1, 2)"
    item = "INSERT INTO conversation_items VALUES (?, 0, 'msg_1', 'message', x'7b7d')"
    response = (
        "INSERT INTO responses (id, user_id, key_id, created_at, status, background, model, "
        "input, body, output) VALUES (?, ?, 1, 0, 'completed', 0, 'm', x'', x'', x'')"
    )
    completion = (
        "INSERT INTO stored_completions (id, user_id, key_id, created_at, model, messages, body) "
        "VALUES (?, ?, 1, 0, 'm', x'', x'')"
    )
    owners = [*((f"id{i}", served) for i in range(102)), ("kept", 1)]
    with sqlite3.connect(shell.data / "meterway.db") as database:
        for insert in (conversation, response, completion):
            database.executemany(insert, owners)
        database.executemany(item, [(id_,) for id_, _ in owners])
    database.close()

    shell.run("user", "erase", EMAIL, "--yes")

    for table in ("conversations", "responses", "stored_completions"):
        assert _rows(shell, f"SELECT id, user_id FROM {table}") == [("kept", 1)]
    assert _rows(shell, "SELECT conversation_id FROM conversation_items") == [("kept",)]


def test_doing_it_again_erases_what_came_since(shell, served):
    shell.run("user", "erase", EMAIL, "--yes")
    late = new_record(user_id=served, funding=Funding.DUE, price=0, cost=0)
    asyncio.run(_post(shell, late))

    told = shell.json("user", "erase", EMAIL, "--yes")

    assert told == {"email": EMAIL, "keys": 0, "calls": 1}


def test_nothing_is_erased_without_a_yes_or_a_user(shell, served):
    shell.run("user", "erase", EMAIL, stdin="n\n", code=1)
    shell.run("user", "erase", "nobody@example.org", "--yes", code=3)

    assert len(_rows(shell, "SELECT 1 FROM charges")) == 601
