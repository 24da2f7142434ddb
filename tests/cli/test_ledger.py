"""`meterway ledger verify`: silent trust in what is sound, a failing exit for what is not."""

import sqlite3

import pytest


def _change(shell, statement):
    connection = sqlite3.connect(shell.data / "meterway.db")
    with connection:
        connection.execute(statement)
    connection.close()


def test_new_installation_is_sound(shell):
    report = shell.json("ledger", "verify")

    assert (report["breaks"], report["quarantined"], report["charges"]) == ([], [], 0)
    assert report["head"] == "00" * 32


def test_sound_ledger_is_told_in_words(shell):
    told = shell.run("ledger", "verify").stdout

    assert "The ledger is sound: 0 charges" in told
    assert "Last seal: 0000" in told


def test_money_from_nowhere_fails_and_is_named(shell):
    _change(
        shell,
        "INSERT INTO book_accounts (kind, owner, name, balance) VALUES ('paid', 1, '', 5)",
    )

    told = shell.run("ledger", "verify", code=1).stdout
    report = shell.json("ledger", "verify", code=1)

    assert told.startswith("broken: ")
    assert "does not add up" in told
    assert len(report["breaks"]) >= 1


def test_key_that_counted_what_no_call_cost_fails(shell):
    _change(shell, "UPDATE keys SET used_fee = 5")

    [told] = shell.json("ledger", "verify", code=1)["breaks"]

    assert told == "key 1 counts 0 calls for 5, not 0 for 0"


def test_journal_that_is_not_here_is_named_and_breaks_nothing(shell):
    _change(
        shell,
        "INSERT INTO journals (name, place, segment, position, opened_at) "
        "VALUES ('w9', 'far away', 1, 8, 0)",
    )

    told = shell.run("ledger", "verify").stdout

    assert "out of reach, its leases wait: journal w9, of the place far away" in told


@pytest.mark.parametrize("arguments", [("verify",), ("verify", "--json")])
def test_what_was_never_set_up_cannot_be_verified(new_shell, arguments):
    new_shell.run("ledger", *arguments, code=5)
