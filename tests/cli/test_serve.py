"""`meterway serve` as a process: sets up once, declares channels, never shows a secret twice."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-c", "from meterway.cli import main; main()"]
_DOCUMENTATION = re.compile(rb"http://127\.0\.0\.1:(\d+)/docs")


async def _served(data, **environment):
    """Serve until the gateway listens, then end it; return what was printed."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME")}
    variables = {**kept, "METERWAY_DETECT_ENGINES": "false", **environment}
    arguments = ["serve", "--port", "0", "--workers", "1", "--data", str(data)]
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=variables, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    printed = b""
    try:
        async with asyncio.timeout(60):
            while not (found := _DOCUMENTATION.search(printed)):
                line = await process.stdout.readline()
                if not line:
                    break
                printed += line
            if found:  # else it ended by itself, and a signal would race with its exit status
                await asyncio.to_thread(_live, int(found[1]))
                process.send_signal(signal.SIGTERM)
            rest, errors = await process.communicate()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return process.returncode, (printed + rest).decode(), errors.decode()


def _live(port):
    """Wait until a worker answers: the parent listens before it has one."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=30) as answer:
        assert answer.status == 200


async def test_first_start_shows_a_key_once_and_declares_channels(tmp_path, shell_of):
    data = tmp_path / "data"
    status, first, log = await _served(data, OPENAI_API_KEY="canary-vendor")
    again, second, log_again = await _served(data, OPENAI_API_KEY="canary-vendor")

    [token] = re.findall(r"sk-[A-Za-z0-9]{48}", first)
    [password] = re.findall(r"password\s+(\w+)", first)
    assert (status, again) == (0, 0)
    assert token not in second + log + log_again
    assert password not in second + log + log_again
    assert "canary" not in first + second + log + log_again
    listed = await asyncio.to_thread(shell_of(data).json, "channel", "list")
    assert [(c["name"], c["origin"]) for c in listed] == [("openai", "environment")]


async def test_start_with_a_bad_file_is_one_sentence(tmp_path):
    config = tmp_path / "meterway.toml"
    config.write_text("[[channels]]\nname = 'a'\nprovider = 'nope'")

    status, printed, errors = await _served(tmp_path / "data", METERWAY_CONFIG=str(config))

    assert status == 2
    assert "There is no provider 'nope'" in errors
    assert "Traceback" not in errors + printed


def test_work_of_a_child_comes_back():
    assert json.loads(_forked("in_child(lambda: {'a': 1}).decode()")) == {"a": 1}


def test_error_of_a_child_comes_back_as_a_failure():
    assert _forked("run()", _RAISING) == "3 gone"


_RAISING = """
from meterway.kit.errors import NotFoundError

def work():
    raise NotFoundError('gone')

def run():
    try:
        in_child(work)
    except Failure as failure:
        return f'{failure.exit_code} {failure.message}'
"""


def _forked(expression, prelude=""):
    """Evaluate in a fresh process: pytest's own has threads, which a fork does not survive."""
    program = (
        "from meterway.cli.child import in_child\nfrom meterway.cli.frame import Failure\n"
        f"{prelude}\nprint({expression}, end='')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def test_help_imports_nothing_heavy():
    program = (
        "import sys\nfrom meterway.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(*(sorted({name.partition('.')[0] for name in sys.modules})))"
    )

    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    ).stdout.splitlines()[-1]

    heavy = {"sqlalchemy", "alembic", "pydantic", "cryptography", "argon2", "starlette", "rich"}
    assert heavy.isdisjoint(printed.split())


def test_second_start_imports_no_migrations(shell):
    flags = {"data": str(shell.data), "detect_engines": False}
    program = (
        "import asyncio, sys\nfrom meterway.cli.installation import prepare\n"
        "from meterway.settings import load\n"
        f"asyncio.run(prepare(load({flags!r}, environ={{}}), {{}}))\n"
        "print(*(sorted({name.partition('.')[0] for name in sys.modules})))"
    )

    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    ).stdout

    assert {"alembic", "argon2"}.isdisjoint(printed.split())


@pytest.fixture
def shell_of(new_shell):
    def make(data: Path):
        new_shell.data = data
        return new_shell

    return make
