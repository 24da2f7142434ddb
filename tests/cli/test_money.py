"""Money from the command line: grants, corrections, refunds, redemption codes."""

import asyncio
import sqlite3

import pytest

from meterway.db.engine import open_engine, transaction
from meterway.ledger.books import service as books
from meterway.ledger.books.types import Kind
from meterway.ledger.charges import service as charges
from meterway.ledger.charges.types import Funding
from tests.factories.charges import new_record
from tests.factories.databases import sqlite_url

ADMIN = "admin@localhost"


def _charge(shell, call_id, paid):
    """Post a call's charge as the settler does."""
    with sqlite3.connect(shell.data / "meterway.db") as database:
        row = f"({call_id}, 1, 1, 1, 1, 1, {paid}, 0, {paid}, 0, 0, 0, 0, '')"
        database.execute(f"INSERT INTO charges VALUES {row}")
    database.close()


def test_granted_money_is_told(shell):
    paid = shell.json("user", "grant", ADMIN, "12.34", "--reason", "wire 7")
    both = shell.json("user", "grant", ADMIN, "0.5", "--free")

    pots = {"free": "0.00", "paid": "12.34", "due": "0.00"}
    assert paid == {"email": ADMIN, **pots, "done": True}
    assert (both["paid"], both["free"]) == ("12.34", "0.50")
    shell.run("user", "grant", "nobody@localhost", "1", code=3)


@pytest.mark.parametrize("amount", ["0", "-1", "NaN", "1e9", "0.1234567891", "99999999999", ""])
def test_absurd_grant_is_refused(shell, amount):
    shell.run("user", "grant", "--", ADMIN, amount, code=2)

    assert shell.json("user", "adjust", ADMIN, "0.01")["paid"] == "0.01"


def test_correction_goes_both_ways_and_not_below_nothing(shell):
    shell.run("user", "grant", ADMIN, "10")

    down = shell.json("user", "adjust", ADMIN, "-9.99", "--reason", "typo")
    up = shell.json("user", "adjust", ADMIN, "1")

    assert (down["paid"], up["paid"]) == ("0.01", "1.01")
    refused = shell.run("user", "adjust", ADMIN, "-1.02", code=4)
    assert "take less" in refused.stderr
    shell.run("user", "adjust", ADMIN, "--5", code=2)
    assert shell.json("user", "adjust", ADMIN, "1")["paid"] == "2.01"


def test_refund_gives_back_at_most_what_was_charged(shell):
    _charge(shell, 255, paid=3_000_000_000)

    part = shell.json("user", "refund", "req_00000000000000ff", "1.25", "--reason", "sorry")
    rest = shell.json("user", "refund", "255")

    assert (part["amount"], rest["amount"], rest["user_id"]) == ("1.25", "1.75", "1")
    shell.run("user", "refund", "255", code=4)
    shell.run("user", "refund", "256", code=4)
    for nonsense in ("req_ff", "ten", "9" * 19):
        shell.run("user", "refund", nonsense, code=2)


def test_a_credit_is_for_one_service_and_may_end(shell):
    given = shell.json("user", "grant", ADMIN, "5", "--billing", "cc-omg", "--expires", "60d")
    more = shell.json("user", "grant", ADMIN, "1", "--billing", "cc-omg")

    assert (given["credit"], given["billing"], given["done"]) == ("5.00", "cc-omg", True)
    assert given["expires_at"] is not None
    assert (more["credit"], more["expires_at"]) == ("6.00", None)
    assert shell.json("user", "adjust", ADMIN, "1")["paid"] == "1.00"


@pytest.mark.parametrize(
    "options",
    [
        ("--expires", "60d"),
        ("--billing", "nobody-omg"),
        ("--billing", "cc-omg", "--free"),
        ("--billing", "cc-omg", "--expires", "2001-01-01"),
        ("--billing", "cc-omg", "--expires", "soon"),
        ("--reference", ""),
        ("--reference", "x" * 81),
    ],
)
def test_absurd_credit_or_reference_is_refused(shell, options):
    shell.run("user", "grant", ADMIN, "5", *options, code=2)

    assert shell.json("user", "adjust", ADMIN, "1")["paid"] == "1.00"


def test_under_one_reference_nothing_happens_twice(shell):
    _charge(shell, 255, paid=3_000_000_000)
    twice = [
        [shell.json("user", *command, "--reference", f"wire {number}") for _ in range(2)]
        for number, command in enumerate(
            [
                ("grant", ADMIN, "5"),
                ("adjust", ADMIN, "-1"),
                ("refund", "255", "2"),
                ("grant", ADMIN, "7", "--billing", "cc-omg"),
            ]
        )
    ]

    assert [(first["done"], again["done"]) for first, again in twice] == [(True, False)] * 4
    assert shell.json("user", "adjust", ADMIN, "1")["paid"] == "7.00"
    assert twice[3][1]["credit"] == "7.00"
    told = shell.run("user", "grant", ADMIN, "5", "--reference", "wire 0").stdout
    assert "used before" in told


def test_an_operators_reference_is_no_reference_of_the_products_own(shell):
    shell.json("user", "grant", ADMIN, "5", "--reference", "code:1")

    with sqlite3.connect(shell.data / "meterway.db") as database:
        rows = database.execute("SELECT reference FROM entries").fetchall()
    database.close()
    assert rows == [("operator:code:1",)]


async def _post(shell, record):
    engine = open_engine(sqlite_url(shell.data / "meterway.db"))
    async with transaction(engine) as tx:
        posted = await charges.post(tx, charges.Names(), 1, [record], {})
        await books.move(tx, posted.deltas)
    await engine.dispose()


def test_refund_of_credit_goes_back_to_its_billing_channel(shell):
    paid = new_record(user_id=1, price=5, funding=Funding.CREDIT, billing="codex")
    asyncio.run(_post(shell, paid))

    shell.run("user", "refund", paid.call_id)

    with sqlite3.connect(shell.data / "meterway.db") as database:
        rows = database.execute("SELECT kind, name, available FROM budgets").fetchall()
    database.close()
    assert rows == [(Kind.CREDIT.value, "codex", 5)]


def test_codes_are_shown_once(shell):
    made = shell.json("code", "create", "5", "--count", "2", "--expires", "30d", "--remark", "fair")
    shell.run("code", "create", "1.5", "--paid")

    listed = shell.json("code", "list")
    assert (len(made["codes"]), made["amount"]) == (2, "5.00")
    assert [(one["amount"], one["pot"]) for one in listed] == [
        ("5.00", "free"),
        ("5.00", "free"),
        ("1.50", "paid"),
    ]
    assert listed[0]["expires_at"] is not None
    assert made["codes"][0] not in shell.run("code", "list").stdout
    secret = made["codes"][0].encode()
    assert all(secret not in file.read_bytes() for file in shell.data.iterdir() if file.is_file())


def test_absurd_codes_are_refused(shell):
    shell.run("code", "create", "0", code=2)
    shell.run("code", "create", "1", "--count", "0", code=2)
    shell.run("code", "create", "1", "--expires", "2001-01-01", code=2)

    assert shell.json("code", "list") == []
