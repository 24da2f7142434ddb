"""The examples of the documentation, run as they stand against a live gateway."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.factories.gateways import Gateway

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
_WRITTEN = "http://127.0.0.1:8787"
_EACH = """
import contextlib, io, json, os, sys, traceback

def outcome(code):
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            exec(code, {"METERWAY_KEY": os.environ["METERWAY_KEY"]})
    except Exception:
        return traceback.format_exc()
    return said.getvalue()

json.dump({code: outcome(code) for code in json.load(sys.stdin)}, sys.stdout)
"""


def _blocks(*languages):
    return [
        pytest.param(found["code"], id=f"{page}-{found['language']}-{number}")
        for page in ("README.md", "docs/getting-started.md")
        for number, found in enumerate(_BLOCK.finditer((ROOT / page).read_text(encoding="utf-8")))
        if found["language"] in languages
    ]


@pytest.fixture(scope="module")
def gateway(new_gateway: Callable[..., Gateway]) -> Iterator[Gateway]:
    """A gateway whose sandbox answers."""
    made = new_gateway().start()
    yield made
    assert made.stop() == 0


@pytest.fixture(scope="module")
def environment(gateway: Gateway) -> dict[str, str]:
    """What the examples see: the key, and what finds programs."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "METERWAY_KEY": gateway.key}


def _run(command: list[str], environment: dict[str, str], stdin: str = "") -> str:
    done = subprocess.run(
        command,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def outcomes(gateway, environment) -> dict[str, str]:
    """What each Python example printed; one process runs them all, since the SDKs load slowly."""
    there = [block.values[0].replace(_WRITTEN, gateway.base) for block in _blocks("python")]
    found = json.loads(_run([sys.executable, "-c", _EACH], environment, json.dumps(there)))
    return {code.replace(gateway.base, _WRITTEN): said for code, said in found.items()}


@pytest.mark.parametrize("code", _blocks("python"))
def test_python_runs_as_written(code, outcomes):
    said = outcomes[code]

    assert "Traceback" not in said, said
    assert "[sandbox]" in said or "Oslo" in said


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed here")
@pytest.mark.parametrize("code", _blocks("sh"))
def test_curl_runs_as_written(code, gateway, environment):
    code = code.replace(_WRITTEN, gateway.base)

    said = _run(["sh", "-c", code], environment)

    assert '"error"' not in said
    assert re.search(r'\[sandbox\]|"input_tokens": ?9\b|"object": ?"list"', said)


def test_there_are_examples_for_curl_and_both_sdks():
    python = [block.values[0] for block in _blocks("python")]
    shell = [block.values[0] for block in _blocks("sh")]

    assert sum("from openai" in code for code in python) >= 2
    assert sum("from anthropic" in code for code in python) >= 2
    assert all(code.startswith("curl ") for code in shell)
    assert len(shell) >= 3
