"""What Claude Code does where a call fails, and what its user is charged then: docs/clients.md."""

from pathlib import Path

import pytest

from tests.conformance import test_claude_code as agent
from tests.conformance.failing import Customer, Failing
from tests.fakes.failing_vendor import Break, Fault, Refuse
from tests.fakes.scripted_vendor import DONE

pytestmark = pytest.mark.conformance
MODEL = "messages/claude-sonnet-4-5"
ONCE_AGAIN = {"CLAUDE_CODE_MAX_RETRIES": "1"}  # ten tries of its own take minutes


def no(status: int, kind: str, *headers: tuple[str, str]) -> Refuse:
    """Refuse as Anthropic does."""
    return Refuse(status, told(kind), headers)


def told(kind: str) -> dict[str, object]:
    """Return an error as Anthropic tells it."""
    return {"type": "error", "error": {"type": kind, "message": "The vendor's words."}}


def ask(
    program: Path,
    failing: Failing,
    customer: Customer,
    home: Path,
    *,
    model: str = MODEL,
    key: str = "",
) -> agent.Turn:
    """Have it say one sentence."""
    environ = {"ANTHROPIC_AUTH_TOKEN": key or customer.key.token, **ONCE_AGAIN}
    return agent.ask(program, failing.gateway.base, "hello", model, home, **environ)


# How the vendor fails the first request, and whether the second one is asked to stream.
MENDED: dict[str, tuple[Fault, bool]] = {
    "404": (no(404, "not_found_error"), False),
    "429": (no(429, "rate_limit_error", ("retry-after", "1")), True),
    "503": (no(503, "api_error", ("retry-after", "1")), True),
    "529": (no(529, "overloaded_error"), True),
    "500": (no(500, "api_error"), True),
    "402": (no(402, "billing_error"), True),
    "cut": (Break(), False),
    "cut-before-words": (Break(after_words=False), False),
    "error": (Break(last=told("overloaded_error")), False),
}


@pytest.mark.parametrize("row", MENDED)
def test_its_own_repeat_is_charged_beside_what_broke_off(
    each_claude, failing: Failing, row, tmp_path
):
    fault, streams = MENDED[row]
    customer = failing.customer()
    failing.vendor.fail(fault)

    turn = ask(each_claude, failing, customer, tmp_path)

    assert (turn.status, turn.result["is_error"], turn.result["result"]) == (0, False, DONE)
    asked = [bool(heard.body.get("stream")) for heard in failing.vendor.heard]
    assert asked == [True, streams]
    receipts = failing.settled(customer)
    broken = {"cut": ["upstream_cut"], "error": ["failed"]}.get(row, [])
    assert [receipt["outcome"] for receipt in receipts] == [*broken, "completed"]


@pytest.mark.parametrize("upstream", ["chat/gpt-4o-mini", "content/gemini-3.1-pro-preview"])
def test_a_stream_of_another_dialect_that_is_cut_is_repeated_too(
    claude, failing: Failing, upstream, tmp_path
):
    customer = failing.customer()
    failing.vendor.fail(Break())

    turn = ask(claude, failing, customer, tmp_path, model=upstream)

    assert (turn.status, turn.result["result"]) == (0, DONE)
    outcomes = [receipt["outcome"] for receipt in failing.settled(customer)]
    assert outcomes == ["upstream_cut", "completed"]


def test_what_lasts_is_shown_and_costs_nothing(each_claude, failing: Failing, tmp_path):
    customer = failing.customer()
    failing.vendor.fail(*[no(500, "api_error")] * 3)

    turn = ask(each_claude, failing, customer, tmp_path)

    assert (turn.status, turn.result["api_error_status"]) == (1, 502)
    assert "The vendor's words." in turn.result["result"]
    assert len(failing.vendor.heard) == 2
    assert failing.settled(customer) == []


def test_a_wrong_request_is_shown_and_costs_nothing(each_claude, failing: Failing, tmp_path):
    customer = failing.customer()
    failing.vendor.fail(*[no(400, "invalid_request_error")] * 7)

    turn = ask(each_claude, failing, customer, tmp_path)

    assert (turn.status, turn.result["api_error_status"]) == (1, 400)
    assert "The vendor's words." in turn.result["result"]
    assert 1 <= len(failing.vendor.heard) <= 6
    assert failing.settled(customer) == []


def test_an_empty_balance_is_final_and_the_user_reads_what_to_do(
    each_claude, failing: Failing, tmp_path
):
    customer, before = failing.customer("0"), len(failing.refusals())
    failing.vendor.fail()

    turn = ask(each_claude, failing, customer, tmp_path)

    assert (turn.status, turn.result["api_error_status"]) == (1, 402)
    assert "The balance does not cover what this call may cost; top it up" in turn.result["result"]
    assert failing.refusals()[before:] == [(402, "insufficient_balance")]
    assert failing.vendor.heard == []
    assert failing.settled(customer) == []


def test_a_key_nobody_knows_is_tried_again_and_then_shown(each_claude, failing: Failing, tmp_path):
    customer, before = failing.customer(), len(failing.refusals())
    failing.vendor.fail()

    turn = ask(each_claude, failing, customer, tmp_path, key="sk-nobodys")

    assert (turn.status, turn.result["api_error_status"]) == (1, 401)
    assert "Incorrect API key provided" in turn.result["result"]
    assert failing.refusals()[before:] == [(401, "invalid_api_key")] * 2
    assert failing.settled(customer) == []


def test_what_another_try_of_the_gateways_mends_it_never_sees(claude, insistent: Failing, tmp_path):
    customer = insistent.customer()
    insistent.vendor.fail(no(500, "api_error"))

    turn = ask(claude, insistent, customer, tmp_path)

    assert (turn.status, turn.result["result"]) == (0, DONE)
    (receipt,) = insistent.settled(customer)
    assert [one["status"] for one in receipt["attempts"]] == [500, None]
