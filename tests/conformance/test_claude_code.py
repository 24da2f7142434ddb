"""Claude Code, two versions as published, doing a turn with a tool through a live gateway."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.agents import run
from tests.conformance.conftest import Way
from tests.conformance.metered import Metered, same
from tests.conformance.test_openai_sdk import PIXEL
from tests.fakes.scripted_vendor import DONE
from tests.fakes.vendor_wires import Call

pytestmark = pytest.mark.conformance
OFFLINE = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_AUTOUPDATER": "1",
}
MODEL = "claude-sonnet-4-5"
COMMAND = "echo hello-from-tool | tee made.txt"


@dataclass(frozen=True)
class Turn:
    """How Claude Code ended: its exit status, its JSON result, what it left in its folder."""

    status: int
    result: dict[str, Any]
    folder: Path


def ask(claude: Path, base: str, prompt: str, model: str, home: Path, **key: str) -> Turn:
    """Have Claude Code work on `prompt` in a home of its own."""
    done, folder = run(
        [
            *(str(claude), "-p", prompt, "--output-format", "json"),
            *("--model", model, "--allowedTools", "Bash", "Read"),
        ],
        home,
        {
            "CLAUDE_CONFIG_DIR": str(home / ".claude"),
            "ANTHROPIC_BASE_URL": base,
            **OFFLINE,
            **key,
        },
    )
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    return Turn(done.returncode, json.loads(done.stdout), folder)


@pytest.mark.parametrize("form", ["ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY"])
def test_a_turn_with_a_tool_is_finished(claude, way: Way, form, tmp_path):
    gateway = way.gateway
    key, refusals = gateway.new_key(), len(gateway.events("request.refused"))
    prompt = f"use Bash {json.dumps({'command': COMMAND, 'description': 'Say hello'})}"

    turn = ask(claude, gateway.base, prompt, way.to(MODEL), tmp_path, **{form: key.token})

    ended = gateway.calls(2, key)
    assert (turn.status, turn.result["subtype"], turn.result["is_error"]) == (0, "success", False)
    assert turn.result["result"].startswith("[sandbox] hello-from-tool")
    assert (turn.folder / "made.txt").read_text() == "hello-from-tool\n"
    assert turn.result["num_turns"] == 2
    assert [
        (call["dialect"], call["model"], call["stream"], call["outcome"], call["attempts"])
        for call in ended
    ] == [("anthropic_messages", way.to(MODEL), True, "completed", 1)] * 2
    assert len(gateway.events("request.refused")) == refusals
    assert _usage(turn) == _logged(ended)
    assert min(_usage(turn)) > 0


@pytest.mark.parametrize("upstream", ["messages", "chat", "content"])
def test_the_ledger_holds_what_the_upstream_reported(
    each_claude, metered: Metered, upstream, tmp_path
):
    gateway, vendor = metered.gateway, metered.vendor
    key = gateway.new_key()
    vendor.script(Call("Bash", {"command": COMMAND, "description": "Say hello"}))

    turn = ask(
        *(each_claude, gateway.base, "Make the file", metered.to(upstream), tmp_path),
        ANTHROPIC_AUTH_TOKEN=key.token,
    )

    assert (turn.status, turn.result["is_error"], turn.result["result"]) == (0, False, DONE)
    assert (turn.folder / "made.txt").read_text() == "hello-from-tool\n"
    assert "hello-from-tool" in json.dumps(vendor.told[-1].body)
    same(metered.charged(key), vendor)
    counted, used = turn.result["usage"], [told.usage for told in vendor.told]
    read = sum(counted[f"{kind}input_tokens"] for kind in ("", "cache_read_", "cache_creation_"))
    assert read == sum(each.total_input for each in used)
    assert counted["output_tokens"] == sum(each.total_output for each in used)


def test_a_picture_that_a_tool_read_travels_along(claude, way: Way, tmp_path):
    picture = tmp_path / "pixel.png"
    picture.write_bytes(base64.b64decode(PIXEL))
    prompt = f"use Read {json.dumps({'file_path': str(picture)})}"
    key = {"ANTHROPIC_AUTH_TOKEN": way.gateway.key}

    turn = ask(claude, way.gateway.base, prompt, way.to(MODEL), tmp_path / "home", **key)

    assert (turn.status, turn.result["is_error"]) == (0, False)
    assert turn.result["result"].endswith("(1 image)")


def _usage(turn: Turn) -> tuple[int, int]:
    usage = turn.result["usage"]
    return usage["input_tokens"], usage["output_tokens"]


def _logged(ended: list[dict[str, Any]]) -> tuple[int, int]:
    return sum(e["input_tokens"] for e in ended), sum(e["output_tokens"] for e in ended)


def test_a_refusal_is_shown_to_the_user_at_once(each_claude, back, tmp_path):
    key = back.new_key("--permissions", "gpt-4o")

    turn = ask(each_claude, back.base, "hello", MODEL, tmp_path, ANTHROPIC_AUTH_TOKEN=key.token)

    assert (turn.status, turn.result["is_error"], turn.result["api_error_status"]) == (1, True, 403)
    assert f"This key is not allowed to use the model `{MODEL}`" in turn.result["result"]
