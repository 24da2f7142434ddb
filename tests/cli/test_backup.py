"""`meterway db backup` and `restore`: one archive, refused where it would lose or mix anything."""

import random
import shutil
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from meterway.ledger.journal.service import place_of
from meterway.ledger.journal.writer import Journal

_SEGMENT = 64 * 1024


@pytest.fixture
def archive(shell, tmp_path):
    """A backup of an installation with a user of its own."""
    shell.json("user", "create", "--email", "kept@example.org", "--password", "long enough")
    path = tmp_path / "backup.tar.gz"
    shell.json("db", "backup", path)
    return path


def _emails(shell):
    return [user["email"] for user in shell.json("user", "list")]


def _ask(shell, statement, *values):
    with closing(sqlite3.connect(shell.data / "meterway.db")) as database, database:
        return database.execute(statement, values).fetchall()


def _register(shell, name):
    place = place_of(shell.data / "journals")
    _ask(
        shell,
        "INSERT INTO journals (name, place, segment, position, opened_at) VALUES (?, ?, 1, 8, 0)",
        name,
        place,
    )


def test_what_was_backed_up_comes_back_and_what_was_there_is_put_aside(shell, archive):
    shell.json("user", "create", "--email", "later@example.org", "--password", "long enough")

    answer = shell.json("db", "restore", archive, "--force")

    assert _emails(shell) == ["admin@localhost", "kept@example.org"]
    assert shell.json("ledger", "verify")["breaks"] == []
    aside = sqlite3.connect(f"{answer['aside']}/meterway.db")
    with closing(aside):
        assert aside.execute("SELECT count(*) FROM users").fetchone() == (3,)


def test_archive_is_restored_into_an_empty_folder_beside_its_secret(shell, archive, new_shell):
    secret = shell.data / "secret"
    target = shell.data.parent / "other"
    target.mkdir()
    shutil.copy(secret, target / "secret")
    shell.data = target

    answer = shell.json("db", "restore", archive)

    assert answer["aside"] is None
    assert _emails(shell) == ["admin@localhost", "kept@example.org"]


def test_archive_holds_no_secret_and_only_its_owner_may_read_it(archive):
    with tarfile.open(archive) as tar:
        names = tar.getnames()

    assert sorted(name for name in names if "/" not in name) == [
        "journals",
        "manifest.json",
        "meterway.db",
    ]
    assert archive.stat().st_mode & 0o777 == 0o600


def test_existing_data_is_refused_without_force_and_stays(shell, archive):
    shell.json("user", "create", "--email", "later@example.org", "--password", "long enough")

    said = shell.run("db", "restore", archive, code=4).stderr

    assert "--force" in said
    assert "later@example.org" in _emails(shell)


@pytest.mark.parametrize("left", ["meterway.db-wal", "journals/worker-0-x/00000001.segment"])
def test_leftovers_of_another_database_are_not_mixed_with_the_restored_one(shell, archive, left):
    shutil.rmtree(shell.data / "journals", ignore_errors=True)
    for path in shell.data.glob("meterway.db*"):
        path.unlink()
    (shell.data / left).parent.mkdir(parents=True, exist_ok=True)
    (shell.data / left).write_bytes(b"old")

    shell.run("db", "restore", archive, code=4)
    answer = shell.json("db", "restore", archive, "--force")

    assert not (shell.data / left).exists()
    assert (Path(answer["aside"]) / left).exists()
    assert "kept@example.org" in _emails(shell)


def test_worker_that_holds_its_journal_stops_a_restore(shell, archive):
    journal = Journal.open(shell.data / "journals", "alive", _SEGMENT)

    said = shell.run("db", "restore", archive, "--force", code=4).stderr

    journal.close()
    assert "stop it" in said
    shell.json("db", "restore", archive, "--force")


def test_anybody_who_has_the_database_open_stops_a_restore(shell, archive):
    with closing(sqlite3.connect(shell.data / "meterway.db")) as other:
        other.execute("SELECT count(*) FROM users").fetchall()

        said = shell.run("db", "restore", archive, "--force", code=4).stderr

    assert "stop it" in said
    shell.json("db", "restore", archive, "--force")


def test_ruined_database_is_replaced(shell, archive):
    (shell.data / "meterway.db").write_bytes(b"not a database at all" * 1000)

    shell.json("db", "restore", archive, "--force")

    assert "kept@example.org" in _emails(shell)


def test_archive_that_is_damaged_anywhere_is_refused_and_changes_nothing(shell, archive, tmp_path):
    whole = archive.read_bytes()
    chance = random.Random(7)
    damaged = tmp_path / "damaged.tar.gz"
    refused = 0
    for _ in range(40):
        at = chance.randrange(len(whole))
        damaged.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        target = tmp_path / "nowhere"
        result = _restore_anywhere(shell, damaged, target)
        refused += result

    assert refused >= 35  # a few bits of an archive's frame mean nothing


def _restore_anywhere(shell, archive, target):
    """Restore into `target`; return whether that was refused. Whatever comes back is whole."""
    before, shell.data = shell.data, target
    try:
        result = shell.try_run("db", "restore", archive)
        assert result.exit_code in {0, 2}, result.output
        assert (target / "meterway.db").exists() == (result.exit_code == 0)
        if result.exit_code == 0:
            with closing(sqlite3.connect(target / "meterway.db")) as database:
                assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return result.exit_code != 0
    finally:
        shutil.rmtree(target, ignore_errors=True)
        shell.data = before


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_archive_that_is_cut_off_is_refused(shell, archive, tmp_path, share):
    whole = archive.read_bytes()
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(whole[: int(len(whole) * share)])

    said = shell.run("db", "restore", cut, "--force", code=2).stderr

    assert str(cut) in said
    assert "kept@example.org" in _emails(shell)


def test_archive_of_something_else_is_refused(shell, tmp_path):
    other = tmp_path / "other.tar.gz"
    with tarfile.open(other, "w:gz") as tar:
        tar.add(shell.data / "secret", "secret")

    assert "no backup" in shell.run("db", "restore", other, "--force", code=2).stderr


def test_nothing_is_written_over_and_nowhere_is_told(shell, archive, tmp_path):
    shell.run("db", "backup", archive, code=4)
    shell.run("db", "backup", tmp_path / "missing" / "backup.tar.gz", code=6)


def test_what_was_never_set_up_cannot_be_backed_up(new_shell, tmp_path):
    new_shell.run("db", "backup", tmp_path / "backup.tar.gz", code=5)

    assert not (tmp_path / "backup.tar.gz").exists()


@pytest.mark.parametrize("arguments", [("backup", "a"), ("restore", __file__)])
def test_database_elsewhere_has_tools_of_its_own(shell, arguments):
    shell.environment["DATABASE_URL"] = "postgresql://user:secret@localhost/name"

    said = shell.run("db", *arguments, code=2).stderr

    assert "pg_dump" in said
    assert "secret" not in said.replace("secret file", "")


def test_journal_that_began_between_the_copies_gets_a_folder(shell, tmp_path):
    _register(shell, "worker-0-late")
    archive = tmp_path / "backup.tar.gz"

    shell.json("db", "backup", archive)
    shell.json("db", "restore", archive, "--force")

    report = shell.json("ledger", "verify")
    assert report["quarantined"] == []
    assert list((shell.data / "journals" / "worker-0-late").iterdir()) == []


def test_journals_come_back_as_they_were_but_drafts(shell, tmp_path):
    journals = shell.data / "journals"
    _register(shell, "worker-0-x")
    journal = Journal.open(journals, "worker-0-x", _SEGMENT)
    (journals / ".worker-1-y.123").mkdir()
    journal.reserve()
    journal.write(b"record")
    before = (journals / "worker-0-x" / "00000001.segment").read_bytes()
    archive = tmp_path / "backup.tar.gz"

    shell.json("db", "backup", archive)
    journal.close()
    shell.json("db", "restore", archive, "--force")

    assert (journals / "worker-0-x" / "00000001.segment").read_bytes() == before
    assert not (journals / ".worker-1-y.123").exists()
