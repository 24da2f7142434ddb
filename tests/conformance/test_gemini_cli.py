"""Gemini CLI, as published, doing a turn with a tool through a live gateway."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.agents import run
from tests.conformance.metered import Metered, same
from tests.factories.gateways import Gateway, Key
from tests.fakes.scripted_vendor import DONE
from tests.fakes.vendor_wires import Call

pytestmark = pytest.mark.conformance
MODEL, CHOSEN = "gemini-2.5-flash", "gemini-3.1-pro-preview-customtools"
COMMAND = {"command": "echo hello-from-tool | tee made.txt", "description": "Say hello"}
ONE_PROCESS = {"GEMINI_CLI_NO_RELAUNCH": "true"}  # else it starts itself again, for more memory
# Without them it asks which kind of account is meant, and looks for a newer version of itself.
SETTINGS = {
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "privacy": {"usageStatisticsEnabled": False},
    "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
}


@dataclass(frozen=True)
class Turn:
    """How Gemini CLI ended: its exit status, its JSON result, what it left in its folder."""

    status: int
    result: dict[str, Any]
    folder: Path

    @property
    def usage(self) -> tuple[int, int]:
        """Tokens in and out, as Gemini CLI counts them."""
        tokens = [used["tokens"] for used in self.result["stats"]["models"].values()]
        return (
            sum(each["prompt"] for each in tokens),
            sum(each["candidates"] + each["thoughts"] for each in tokens),
        )


def ask(
    gemini: Path, base: str, key: str, home: Path, *, prompt: str, model: str = "", **environ: str
) -> Turn:
    """Have Gemini CLI work on a prompt in a home of its own, with a model of its choice or ours."""
    (home / ".gemini").mkdir(parents=True)
    (home / ".gemini" / "settings.json").write_text(json.dumps(SETTINGS))
    done, folder = run(
        [
            *(str(gemini), "-p", prompt, "--yolo", "--skip-trust", "--output-format", "json"),
            *(("-m", model) if model else ()),
        ],
        home,
        {**ONE_PROCESS, "GOOGLE_GEMINI_BASE_URL": base, "GEMINI_API_KEY": key, **environ},
    )
    told = done.stdout if done.returncode == 0 else done.stderr[done.stderr.find("\n{") + 1 :]
    assert told.startswith("{"), done.stdout + done.stderr
    return Turn(done.returncode, json.loads(told), folder)


@pytest.mark.parametrize("mechanism", ["x-goog-api-key", "bearer"])
def test_a_turn_with_a_tool_is_finished(gemini, back: Gateway, mechanism, tmp_path):
    key, refusals = back.new_key(), len(back.events("request.refused"))
    prompt = f"use run_shell_command {json.dumps(COMMAND)}"
    form = {"GEMINI_API_KEY_AUTH_MECHANISM": mechanism}

    turn = ask(gemini, back.base, key.token, tmp_path, prompt=prompt, model=MODEL, **form)

    ended = back.calls(2, key)
    assert (turn.status, turn.result["stats"]["tools"]["totalSuccess"]) == (0, 1)
    assert "hello-from-tool" in turn.result["response"]
    assert (turn.folder / "made.txt").read_text() == "hello-from-tool\n"
    assert [
        (call["dialect"], call["model"], call["stream"], call["outcome"], call["attempts"])
        for call in ended
    ] == [("gemini", MODEL, True, "completed", 1)] * 2
    assert len(back.events("request.refused")) == refusals
    assert turn.usage == (
        sum(call["input_tokens"] for call in ended),
        sum(call["output_tokens"] for call in ended),
    )


@pytest.mark.parametrize("upstream", ["content", "messages", "chat"])
def test_the_ledger_holds_what_the_upstream_reported(gemini, metered: Metered, upstream, tmp_path):
    key, vendor = metered.gateway.new_key(), metered.vendor
    vendor.script(Call("run_shell_command", COMMAND))

    model = metered.to(upstream)
    turn = ask(
        gemini, metered.gateway.base, key.token, tmp_path, prompt="Make the file", model=model
    )

    finished(turn, metered, key)
    assert len(vendor.told) == 2


def test_the_model_that_chooses_a_model_is_in_the_ledger_too(gemini, metered: Metered, tmp_path):
    key, vendor = metered.gateway.new_key(), metered.vendor
    rating = {"complexity_reasoning": "One small file.", "complexity_score": 99}
    vendor.script(Call("run_shell_command", COMMAND), json.dumps(rating))

    turn = ask(gemini, metered.gateway.base, key.token, tmp_path, prompt="Make the file")

    finished(turn, metered, key)
    choice, *turns = vendor.told
    schema = choice.body["output_config"]["format"]["schema"]
    assert schema["type"] == "object"  # in Google's capitals from Gemini CLI
    assert schema["properties"]["complexity_score"]["type"] == "integer"
    assert {told.path for told in turns} == {f"/v1beta/models/{CHOSEN}:streamGenerateContent"}
    assert len(turns) == 2


def finished(turn: Turn, metered: Metered, key: Key) -> None:
    """Check that the turn was finished, and that vendor, ledger and client counted the same."""
    vendor = metered.vendor
    assert (turn.status, turn.result.get("response")) == (0, DONE), turn.result
    assert (turn.folder / "made.txt").read_text() == "hello-from-tool\n"
    assert "hello-from-tool" in json.dumps(vendor.told[-1].body)
    same(metered.charged(key), vendor)
    assert turn.usage == (
        sum(told.usage.total_input for told in vendor.told),
        sum(told.usage.total_output for told in vendor.told),
    )


def test_a_refusal_is_shown_to_the_user_at_once(gemini, back: Gateway, tmp_path):
    key = back.new_key("--permissions", "gpt-4o")
    before = len(back.events("request.refused"))

    turn = ask(gemini, back.base, key.token, tmp_path, prompt="hello", model=MODEL)

    assert turn.status != 0
    assert f"This key is not allowed to use the model `{MODEL}`" in turn.result["error"]["message"]
    assert len(back.events("request.refused")) == before + 1
