"""Tests of the large ledger the benchmark writes: it is sound, and its pages are full."""

import sqlite3

from meterway.bench import ledger
from meterway.bench.shop import open_shop, proof_of
from meterway.bench.types import Verdict


async def test_a_written_ledger_is_proved_and_its_pages_are_read(tmp_path):
    said: list[str] = []

    found = await ledger.measure(tmp_path, 2_500, 3_000, said.append)

    assert all(row.verdict is not Verdict.INVALID for row in found)
    assert all(row.value is not None and row.value > 0 for row in found)
    assert found[0].name == "10,000 postings verified"
    assert said[0] == "ledger: proving 2,500 calls"
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        assert connection.execute("SELECT count(*) FROM charges").fetchone() == (5_500,)
    connection.close()


async def test_what_was_written_past_the_ledger_breaks_its_proof(tmp_path):
    async with open_shop(tmp_path / "ledger.db", 2) as shop:
        made = ledger._calls(shop.customers, ledger._kinds(shop), 40, place=0)
        written = await ledger._write(tmp_path / "ledger.db", made, 40, lambda _: None)

        unaccounted = await ledger._proved(shop, 40)
        await ledger._account_for(shop, written)
        proved = await ledger._proved(shop, 40)
        report = await proof_of(shop)

    assert unaccounted.verdict is Verdict.INVALID
    assert proved.verdict is not Verdict.INVALID
    assert (report.charges, report.breaks) == (40, ())
