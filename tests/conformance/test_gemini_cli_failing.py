"""What Gemini CLI does where a call fails, and what its user is charged then: docs/clients.md."""

from pathlib import Path

import pytest

from tests.conformance import test_gemini_cli as agent
from tests.conformance.failing import Customer, Failing
from tests.fakes.failing_vendor import Break, Fault, Refuse
from tests.fakes.scripted_vendor import DONE
from tests.fakes.vendor_wires import JSON

pytestmark = pytest.mark.conformance
MODEL = "content/gemini-3.1-pro-preview"


def told(code: int, status: str) -> JSON:
    """Return an error as Google tells it."""
    return {"error": {"code": code, "status": status, "message": "The vendor's words."}}


def ask(
    program: Path, failing: Failing, customer: Customer, home: Path, key: str = ""
) -> agent.Turn:
    """Have it say one sentence."""
    token = key or customer.key.token
    base = failing.gateway.base
    return agent.ask(program, base, token, home, prompt="hello", model=MODEL)


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Break(), "upstream_cut"),
        (Break(last=told(503, "UNAVAILABLE")), "failed"),
        (Refuse(429, told(429, "RESOURCE_EXHAUSTED")), None),
    ],
    ids=["cut", "error", "429"],
)
def test_its_own_repeat_is_charged_beside_what_broke_off(
    gemini, failing: Failing, fault: Fault, outcome, tmp_path
):
    customer = failing.customer()
    failing.vendor.fail(fault)

    turn = ask(gemini, failing, customer, tmp_path)

    assert turn.status == 0
    assert turn.result["response"].endswith(DONE)  # it shows what broke off, too
    assert len(failing.vendor.heard) == 2
    outcomes = [receipt["outcome"] for receipt in failing.settled(customer)]
    assert outcomes == [*([outcome] if outcome else []), "completed"]


@pytest.mark.parametrize(
    ("status", "word"), [(400, "INVALID_ARGUMENT"), (404, "NOT_FOUND")], ids=["400", "404"]
)
def test_what_no_repeat_would_mend_ends_it_at_once(
    gemini, failing: Failing, status, word, tmp_path
):
    customer = failing.customer()
    failing.vendor.fail(Refuse(status, told(status, word)))

    turn = ask(gemini, failing, customer, tmp_path)

    assert turn.status != 0
    assert "The vendor's words." in turn.result["error"]["message"]
    assert len(failing.vendor.heard) == 1
    assert failing.settled(customer) == []


@pytest.mark.parametrize(
    ("dollars", "key", "refusal", "words"),
    [
        ("0", "", (402, "insufficient_balance"), "The balance does not cover"),
        ("10", "sk-nobodys", (401, "invalid_api_key"), "Incorrect API key provided"),
    ],
    ids=["402", "401"],
)
def test_a_refusal_of_the_gateways_ends_it_at_the_first_try(  # noqa: PLR0917 - a row
    gemini, failing: Failing, dollars, key, refusal, words, tmp_path
):
    customer, before = failing.customer(dollars), len(failing.refusals())
    failing.vendor.fail()

    turn = ask(gemini, failing, customer, tmp_path, key)

    assert turn.status != 0
    assert words in turn.result["error"]["message"]
    assert failing.refusals()[before:] == [refusal]
    assert failing.vendor.heard == []
    assert failing.settled(customer) == []


def test_what_another_try_of_the_gateways_mends_it_never_sees(gemini, insistent: Failing, tmp_path):
    customer = insistent.customer()
    insistent.vendor.fail(Refuse(500, told(500, "INTERNAL")))

    turn = ask(gemini, insistent, customer, tmp_path)

    assert (turn.status, turn.result["response"]) == (0, DONE)
    (receipt,) = insistent.settled(customer)
    assert [one["status"] for one in receipt["attempts"]] == [500, None]
