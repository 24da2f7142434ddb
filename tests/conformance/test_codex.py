"""Codex, as published, doing a turn with a tool through a live gateway, by every transport."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.agents import run
from tests.conformance.conftest import IMPATIENT, Way
from tests.conformance.metered import Metered, metered_gateway, same
from tests.factories.gateways import Gateway, wait_for
from tests.fakes.scripted_vendor import DONE
from tests.fakes.vendor_wires import Call

pytestmark = pytest.mark.conformance
MODEL = "gpt-4o"
COMMAND = "echo hello-from-tool | tee made.txt"
PROMPT = f"use exec_command {json.dumps({'cmd': COMMAND})}"
_CONFIG = """
model = "{model}"
model_provider = "gw"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.gw]
name = "gw"
base_url = "{base}"
env_key = "GATEWAY_KEY"
wire_api = "responses"
supports_websockets = {websockets}
{retries}
"""


@dataclass(frozen=True)
class Turn:
    """How Codex ended: its exit status, what it told in JSON, what it left in its folder."""

    status: int
    told: list[dict[str, Any]]
    folder: Path

    def items(self, kind: str) -> list[dict[str, Any]]:
        """Return the items of a type that were completed."""
        items = [event["item"] for event in self.told if event["type"] == "item.completed"]
        return [item for item in items if item["type"] == kind]

    @property
    def usage(self) -> tuple[int, int]:
        """Tokens in and out, as Codex counts them."""
        (ended,) = [event for event in self.told if event["type"] == "turn.completed"]
        return ended["usage"]["input_tokens"], ended["usage"]["output_tokens"]


def ask(
    codex: Path, base: str, key: str, home: Path, *, model=MODEL, websockets=False, **retries: int
) -> Turn:
    """Have Codex work on the prompt; `retries` are its provider's settings."""
    config = _CONFIG.format(
        model=model,
        base=base,
        websockets=str(websockets).lower(),
        retries="\n".join(f"{name} = {number}" for name, number in retries.items()),
    )
    (home / "config.toml").write_text(config)
    done, folder = run(
        [
            *(str(codex), "exec", "--disable", "plugins", "--skip-git-repo-check", "--json"),
            *("-s", "danger-full-access", PROMPT),
        ],
        home,
        {"CODEX_HOME": str(home), "GATEWAY_KEY": key},
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert lines, done.stdout + done.stderr
    return Turn(done.returncode, [json.loads(line) for line in lines], folder)


def finished(turn: Turn, ended: list[dict[str, Any]], model: str) -> None:
    """Check that the tool ran, that its output was told of, and that two calls were counted."""
    assert turn.status == 0, turn.told
    (command,) = turn.items("command_execution")
    assert (command["exit_code"], command["aggregated_output"]) == (0, "hello-from-tool\n")
    assert (turn.folder / "made.txt").read_text() == "hello-from-tool\n"
    (message,) = turn.items("agent_message")
    assert "hello-from-tool" in message["text"]
    assert [
        (call["dialect"], call["model"], call["stream"], call["outcome"], call["attempts"])
        for call in ended
    ] == [("openai_responses", model, True, "completed", 1)] * 2
    assert turn.usage == (
        sum(call["input_tokens"] for call in ended),
        sum(call["output_tokens"] for call in ended),
    )
    assert min(turn.usage) > 0


def test_a_turn_with_a_tool_is_finished_over_http(codex, way: Way, home):
    key, model = way.gateway.new_key(), way.to(MODEL)

    turn = ask(codex, f"{way.gateway.base}/v1", key.token, home, model=model)

    finished(turn, way.gateway.calls(2, key), model)


def test_a_turn_with_a_tool_is_finished_over_a_websocket(codex, way: Way, home):
    gateway, model = way.gateway, way.to(MODEL)
    key, before = gateway.new_key(), len(gateway.events("socket.closed"))

    turn = ask(codex, f"{gateway.base}/v1", key.token, home, model=model, websockets=True)

    finished(turn, gateway.calls(2, key), model)
    sockets = wait_for(lambda: gateway.events("socket.closed")[before:], "the socket's end")
    assert sum(each["messages"] for each in sockets) == 3  # one of them prepares the turn


def test_the_forwarding_service_has_a_websocket_too(codex, back: Gateway, home):
    key = back.new_key()
    base = f"{back.base}/api/v1/ai/openai/codex-omg/v1"

    turn = ask(codex, base, key.token, home, websockets=True)

    finished(turn, back.calls(2, key), MODEL)


@pytest.fixture(scope="module")
def without(new_gateway: Callable[..., Gateway]) -> Gateway:
    """A gateway that serves no WebSockets."""
    return new_gateway(**IMPATIENT, METERWAY_WEBSOCKETS="false").start()


def test_where_websockets_are_off_the_turn_goes_on_over_http_at_once(codex, without, home):
    key = without.new_key()

    turn = ask(codex, f"{without.base}/v1", key.token, home, websockets=True)

    finished(turn, without.calls(2, key), MODEL)
    assert {event["status"] for event in without.events("request.refused")} == {426}
    assert without.events("socket.closed") == []


@pytest.fixture(scope="module")
def metered_without(new_gateway: Callable[..., Gateway]) -> Iterator[Metered]:
    """A metered gateway that serves no WebSockets."""
    with metered_gateway(new_gateway, **IMPATIENT, METERWAY_WEBSOCKETS="false") as made:
        yield made


@pytest.mark.parametrize("websockets", [False, True], ids=["http", "websocket"])
@pytest.mark.parametrize("upstream", ["responses", "messages", "chat", "content"])
def test_the_ledger_holds_what_the_upstream_reported(
    codex, metered: Metered, upstream, websockets, home
):
    ledger_is_right(codex, metered, metered.to(upstream), home, websockets=websockets)


def test_the_ledger_is_right_where_websockets_are_off(codex, metered_without: Metered, home):
    ledger_is_right(codex, metered_without, metered_without.to("messages"), home, websockets=True)


def ledger_is_right(codex, metered: Metered, model: str, home: Path, *, websockets: bool) -> None:
    """Check that a turn is finished, and that vendor, ledger and client counted the same."""
    key, vendor = metered.gateway.new_key(), metered.vendor
    vendor.script(Call("exec_command", {"cmd": COMMAND}))

    base = f"{metered.gateway.base}/v1"
    turn = ask(codex, base, key.token, home, model=model, websockets=websockets)

    assert turn.status == 0, turn.told
    assert [message["text"] for message in turn.items("agent_message")] == [DONE]
    assert (turn.folder / "made.txt").read_text() == "hello-from-tool\n"
    assert "hello-from-tool" in json.dumps(vendor.told[-1].body)
    same(metered.charged(key), vendor)
    assert turn.usage == (
        sum(told.usage.total_input for told in vendor.told),
        sum(told.usage.total_output for told in vendor.told),
    )
