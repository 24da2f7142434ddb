"""simonw's `llm`, as published, doing a turn with a tool through a live gateway."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.agents import run
from tests.conformance.metered import Metered, same
from tests.conformance.published import beside
from tests.factories.gateways import Gateway, Key
from tests.fakes.scripted_vendor import DONE
from tests.fakes.vendor_wires import Call

pytestmark = pytest.mark.conformance
# The program, and what it needs that is not installed here.
PACKAGES = (
    *("llm==0.36", "click-default-group==1.2.4", "condense-json==1.1", "puremagic==1.30"),
    *("python-dateutil==4.0.0", "python-ulid==4.1.0", "sqlite-fts4==1.0.3"),
    *("sqlite-utils==4.2.1", "tabulate==0.10.0"),
)
_USAGE = re.compile(r"Token usage: ([\d,]+) input, (\d+) output")
DIALECTS = {"chat": "openai_chat", "responses": "openai_responses"}
TOOL = '''
def shout(text: str) -> str:
    """Say it loud."""
    open("made.txt", "w").write(text)
    return text.upper()
'''


@pytest.fixture(scope="session")
def llm() -> Path:
    """The folder that holds the program."""
    return beside(*PACKAGES)


def ask(
    llm: Path, gateway: Gateway, key: Key, home: Path, model: str, *options: str, face: str
) -> list[tuple[int, int]]:
    """Have `llm` work on a prompt by one of OpenAI's APIs; return what it says each reply used."""
    known: dict[str, Any] = {
        "model_id": "ours",
        "model_name": model,
        "api_base": f"{gateway.base}/v1",
    }
    known |= {"api_key_name": "gateway", "supports_tools": True, "responses": face == "responses"}
    home.mkdir(exist_ok=True)
    (home / "extra-openai-models.yaml").write_text(json.dumps([known]))
    (home / "keys.json").write_text(json.dumps({"gateway": key.token}))
    command = [sys.executable, "-m", "llm", "prompt", "-m", "ours", "--functions", TOOL]
    environ = {"PYTHONPATH": str(llm), "LLM_USER_PATH": str(home)}

    done, _ = run([*command, "--usage", *options, "Shout hello"], home, environ)

    assert (done.returncode, done.stdout) == (0, f"{DONE}\n"), done.stdout + done.stderr
    told = [(read.replace(",", ""), wrote) for read, wrote in _USAGE.findall(done.stderr)]
    return [(int(read), int(wrote)) for read, wrote in told]


@pytest.mark.parametrize(
    "way",
    [
        ("chat", "chat"),
        ("chat", "messages"),
        ("chat", "content", "--no-stream"),
        ("responses", "responses"),
        ("responses", "messages", "--no-stream"),
        ("responses", "content"),
    ],
    ids=" ".join,
)
def test_the_ledger_holds_what_the_upstream_reported(llm, metered: Metered, way, tmp_path):
    face, upstream, *options = way
    key, vendor = metered.gateway.new_key(), metered.vendor
    vendor.script(Call("shout", {"text": "hello from a tool"}))

    model = metered.to(upstream)
    counted = ask(llm, metered.gateway, key, tmp_path, model, *options, face=face)

    assert (tmp_path / "work" / "made.txt").read_text() == "hello from a tool"
    assert "HELLO FROM A TOOL" in json.dumps(vendor.told[-1].body)
    posted = metered.charged(key)
    same(posted, vendor)
    called = [(receipt["dialect"], receipt["stream"]) for receipt in posted]
    assert called == [(DIALECTS[face], not options)] * 2
    assert counted == [(told.usage.total_input, told.usage.total_output) for told in vendor.told]
