"""What Codex does where a call fails, and what its user is charged then: docs/clients.md."""

from pathlib import Path
from typing import Any

import pytest

from tests.conformance import test_codex as agent
from tests.conformance.failing import Customer, Failing
from tests.fakes.failing_vendor import Break, Change, Fault, Refuse, Report
from tests.fakes.scripted_vendor import DONE
from tests.fakes.vendor_wires import Call

pytestmark = pytest.mark.conformance
MODEL = "responses/gpt-4o-mini"
QUOTA = "Quota exceeded. Check your plan and billing details."
ONCE_AGAIN = {"request_max_retries": 0, "stream_max_retries": 1}  # five of each take long
both = pytest.mark.parametrize("websockets", [False, True], ids=["http", "websocket"])


def no(status: int, code: str | None = None, *headers: tuple[str, str]) -> Refuse:
    """Refuse as OpenAI does."""
    return Refuse(status, {"error": said(code) | {"type": "error", "param": None}}, headers)


def said(code: str | None) -> dict[str, Any]:
    """Return an error as OpenAI words it."""
    return {"code": code, "message": "The vendor's words."}


def failed(code: str) -> dict[str, Any]:
    """Return the event that ends a response of OpenAI's with an error."""
    facts = {"id": "resp_0", "object": "response", "created_at": 1_800_000_000, "output": []}
    response = {**facts, "status": "failed", "model": "m", "usage": None, "error": said(code)}
    return {"type": "response.failed", "sequence_number": 9, "response": response}


def ask(
    program: Path,
    failing: Failing,
    customer: Customer,
    folder: Path,
    *,
    websockets: bool,
    model: str = MODEL,
    key: str = "",
) -> agent.Turn:
    """Have it say one sentence, or use the tool that the vendor calls."""
    return agent.ask(
        program,
        f"{failing.gateway.base}/v1",
        key or customer.key.token,
        folder,
        model=model,
        websockets=websockets,
        **ONCE_AGAIN,
    )


def shown(turn: agent.Turn) -> str:
    """Return the error that the turn ended with."""
    (ended,) = [event for event in turn.told if event["type"] == "turn.failed"]
    message: str = ended["error"]["message"]
    return message


MENDED: dict[str, Fault] = {
    "429": no(429, "rate_limit_exceeded", ("retry-after", "0")),
    "503": no(503),
    "500": no(500),
    "401-of-the-channel": no(401, "invalid_api_key"),
    "quota-of-the-channel": no(429, "insufficient_quota"),
    "cut": Break(),
    "cut-before-words": Break(after_words=False),
    "error": Break(last={"type": "error", "sequence_number": 9, **said("server_error")}),
    "failed": Break(last=failed("server_error")),
    "failed-of-rate": Break(last=failed("rate_limit_exceeded")),
    "failed-of-the-channels-quota": Break(last=failed("insufficient_quota")),
}
INCOMPLETE = Change(
    {
        'response.completed"': 'response.incomplete"',
        '"status": "completed", "model"': '"status": "incomplete", "model"',
        '"incomplete_details": null': '"incomplete_details": {"reason": "max_output_tokens"}',
    }
)
BROKEN = {"cut": ["upstream_cut"], "cut-before-words": []}


@both
@pytest.mark.parametrize("row", MENDED)
def test_its_own_repeat_is_charged_beside_what_broke_off(
    codex, failing: Failing, row, websockets, home
):
    fault, customer = MENDED[row], failing.customer()
    failing.vendor.fail(fault)

    turn = ask(codex, failing, customer, home, websockets=websockets)

    assert turn.status == 0, turn.told
    assert [message["text"] for message in turn.items("agent_message")] == [DONE]
    assert len(failing.vendor.heard) == 2
    broken = BROKEN.get(row, ["failed"] if isinstance(fault, Break) else [])
    outcomes = [receipt["outcome"] for receipt in failing.settled(customer)]
    assert outcomes == [*broken, "completed"]


@pytest.mark.parametrize(
    ("model", "last"),
    [
        ("messages/claude-sonnet-4-5", {"type": "error", "error": {"type": "overloaded_error"}}),
        ("chat/gpt-4o-mini", {"error": {"message": "Busy.", "code": "server_error"}}),
        ("content/gemini-3.1-pro-preview", {"error": {"code": 503, "message": "Busy."}}),
    ],
    ids=["messages", "chat", "content"],
)
def test_an_error_of_another_dialect_is_one_it_understands(
    codex, failing: Failing, model, last, home
):
    customer = failing.customer()
    failing.vendor.fail(Break(last=last))

    turn = ask(codex, failing, customer, home, websockets=False, model=model)

    assert turn.status == 0, turn.told
    outcomes = [receipt["outcome"] for receipt in failing.settled(customer)]
    assert outcomes == ["failed", "completed"]


FINAL: dict[str, tuple[Fault, str]] = {
    "400": (no(400, "bad"), "The vendor's words."),
    "404": (no(404, "model_not_found"), "The vendor's words."),
    "failed-of-context": (Break(last=failed("context_length_exceeded")), "context window"),
}


@both
@pytest.mark.parametrize("row", FINAL)
def test_what_no_repeat_would_mend_ends_it_at_once(codex, failing: Failing, row, websockets, home):
    (fault, words), customer = FINAL[row], failing.customer()
    failing.vendor.fail(fault)

    turn = ask(codex, failing, customer, home, websockets=websockets)

    assert turn.status == 1
    assert words in shown(turn)
    assert len(failing.vendor.heard) == 1
    outcomes = [receipt["outcome"] for receipt in failing.settled(customer)]
    assert outcomes == (["failed"] if isinstance(fault, Break) else [])


@both
def test_an_incomplete_response_is_paid_and_not_asked_for_again(
    codex, failing: Failing, websockets, home
):
    customer = failing.customer()
    failing.vendor.fail(INCOMPLETE)

    turn = ask(codex, failing, customer, home, websockets=websockets)

    assert shown(turn) == "Incomplete response returned, reason: max_output_tokens"
    assert len(failing.vendor.heard) == 1
    outcomes = [receipt["outcome"] for receipt in failing.settled(customer)]
    assert outcomes == ["completed"]


@both
def test_an_empty_balance_ends_it_at_the_first_try(codex, failing: Failing, websockets, home):
    customer, before = failing.customer("0"), len(failing.refusals())
    failing.vendor.fail()

    turn = ask(codex, failing, customer, home, websockets=websockets)

    assert (turn.status, shown(turn)) == (1, QUOTA)
    assert failing.refusals()[before:] == [(429, "insufficient_balance")]
    assert failing.vendor.heard == []
    assert failing.settled(customer) == []


@both
def test_a_balance_that_runs_out_between_two_calls_ends_the_turn(
    codex, failing: Failing, websockets, home
):
    customer = failing.customer("0.65")
    failing.vendor.fail(Report(8000), call=Call("exec_command", {"cmd": agent.COMMAND}))

    turn = ask(codex, failing, customer, home, websockets=websockets)

    assert (turn.status, shown(turn)) == (1, QUOTA)
    assert len(failing.vendor.heard) == 1
    assert (turn.folder / "made.txt").read_text() == "hello-from-tool\n"
    (receipt,) = failing.settled(customer)
    assert receipt["outcome"] == "completed"


@both
@pytest.mark.parametrize(
    ("nobodys", "refusal", "words"),
    [
        (True, (401, "invalid_api_key"), "Incorrect API key provided"),
        (False, (403, "model_not_allowed"), "This key is not allowed to use the model"),
    ],
    ids=["401", "403"],
)
def test_a_key_that_may_not_is_tried_again_and_then_shown(  # noqa: PLR0917 - a row
    codex, failing: Failing, nobodys, refusal, words, websockets, home
):
    customer, before = failing.customer(), len(failing.refusals())
    failing.vendor.fail()
    key = "sk-nobodys" if nobodys else failing.another_key(customer, "--permissions", "gpt-4o")

    turn = ask(codex, failing, customer, home, websockets=websockets, key=key)

    assert turn.status == 1
    assert words in shown(turn)
    assert set(failing.refusals()[before:]) == {refusal}
    assert len(failing.refusals()) > before + 1
    assert failing.settled(customer) == []


@both
def test_what_another_try_of_the_gateways_mends_it_never_sees(
    codex, insistent: Failing, websockets, home
):
    customer = insistent.customer()
    insistent.vendor.fail(no(500))

    turn = ask(codex, insistent, customer, home, websockets=websockets)

    assert turn.status == 0
    assert [event for event in turn.told if event["type"] == "error"] == []
    (receipt,) = insistent.settled(customer)
    assert [one["status"] for one in receipt["attempts"]] == [500, None]
