"""Setting up: once, shown once, safe against a second start at the same moment."""

import asyncio
import json
import re
import subprocess
import sys

from argon2 import PasswordHasher
from sqlalchemy import text

from meterway.accounts import service as accounts
from meterway.auth.service import Authenticator
from meterway.db import installation
from meterway.db.engine import open_engine, reading
from meterway.kit import secret_file
from tests.factories.databases import sqlite_url
from tests.fakes.clock import FakeClock


def _asked(shell, question):
    async def ask():
        engine = open_engine(sqlite_url(shell.data / "meterway.db"))
        try:
            async with reading(engine) as connection:
                return await question(engine, connection)
        finally:
            await engine.dispose()

    return asyncio.run(ask())


def test_answer_has_exactly_the_documented_shape(new_shell):
    answer = new_shell.json("init")

    assert set(answer) == {"base_url", "key", "admin"}
    assert set(answer["admin"]) == {"email", "password"}
    assert answer["base_url"] == "http://127.0.0.1:8787"
    assert re.fullmatch(r"sk-[A-Za-z0-9]{48}", answer["key"])


def test_first_key_works_and_belongs_to_a_postpaid_admin(shell):
    pepper = secret_file.load(shell.data / "secret").pepper

    async def question(engine, connection):
        auth = Authenticator(engine, pepper, FakeClock())
        principal = await auth.principal(shell.first["key"])
        admin = shell.first["admin"]
        user = await accounts.by_email(connection, admin["email"])
        stored = await connection.execute(text("SELECT password_hash FROM users"))
        return principal, user, PasswordHasher().verify(stored.scalar_one(), admin["password"])

    principal, user, is_password = _asked(shell, question)

    assert (principal.permissions, principal.expires_at, principal.postpaid) == (None, None, True)
    assert (user.is_admin, user.postpaid) == (True, True)
    assert is_password


def test_everything_made_is_for_its_owner_alone(shell):
    assert shell.data.stat().st_mode & 0o777 == 0o700
    assert (shell.data / "secret").stat().st_mode & 0o777 == 0o600


def test_second_time_is_an_error_that_shows_no_secret(shell):
    before = (shell.data / "secret").read_bytes()

    result = shell.run("init", "--json", code=4)

    assert "initialised already" in result.stderr
    assert result.stdout == ""
    assert shell.first["key"] not in result.output
    assert shell.first["admin"]["password"] not in result.output
    assert (shell.data / "secret").read_bytes() == before


def test_of_two_at_the_same_moment_one_wins(tmp_path):
    command = [sys.executable, "-c", "from meterway.cli import main; main()"]
    arguments = ["init", "--json", "--data", str(tmp_path / "data")]
    processes = [
        subprocess.Popen(
            command + arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]

    answers = [process.communicate(timeout=60) for process in processes]

    assert sorted(process.returncode for process in processes) == [0, 4, 4]
    winners = [json.loads(out) for out, _ in answers if out]
    assert len(winners) == 1
    for process, (out, errors) in zip(processes, answers, strict=True):
        assert (process.returncode == 0) == bool(out)
        assert errors.count("\n") == (process.returncode != 0)


def test_secret_file_that_was_there_is_used(new_shell):
    new_shell.data.mkdir()
    made = secret_file.create(new_shell.data / "secret")

    new_shell.run("init")

    async def question(_, connection):
        return await installation.fingerprint(connection)

    assert _asked(new_shell, question) == made.fingerprint


def test_address_and_admin_follow_the_settings(new_shell):
    new_shell.environment = {
        "METERWAY_PUBLIC_URL": "https://ai.example.org/",
        "METERWAY_ADMIN_EMAIL": "Ops@example.org",
    }

    answer = new_shell.json("init")

    assert answer["base_url"] == "https://ai.example.org"
    assert new_shell.json("user", "list")[0]["email"] == "ops@example.org"


def test_unusable_data_folder_is_one_sentence(new_shell):
    new_shell.data.write_text("a file")

    result = new_shell.run("init", code=2)

    assert "cannot be used" in result.stderr


def test_secret_file_of_another_installation_is_refused(shell, tmp_path):
    (shell.data / "secret").unlink()
    secret_file.create(shell.data / "secret")

    result = shell.run("channel", "list", code=5)

    assert "another installation" in result.stderr


def test_lost_secret_file_is_not_made_again(shell):
    (shell.data / "secret").unlink()

    result = shell.run("key", "list", code=5)

    assert "put back" in result.stderr
    assert not (shell.data / "secret").exists()


def test_commands_before_the_first_start_say_so_and_make_nothing(new_shell):
    result = new_shell.run("key", "list", code=5)

    assert "not initialised" in result.stderr
    assert not new_shell.data.exists()


def test_broken_database_is_one_sentence(shell):
    (shell.data / "meterway.db").write_bytes(b"no database" * 100)

    result = shell.run("user", "list", code=6)

    assert result.stderr == "Error: The database cannot be used at the moment; try again shortly.\n"
