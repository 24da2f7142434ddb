"""Who pays for a call that ended, for how much of it, and under which policy."""

import msgspec
import pytest

from meterway.protocols.dialects import Dialect
from meterway.protocols.usage import Usage, UsageSource
from meterway.relay.record import Attempt, CallRecord, Outcome, Policy
from meterway.relay.settlement import conclude


def _attempt(error: str | None = None) -> Attempt:
    return Attempt(
        channel="c",
        channel_id=1,
        credential=None,
        model="m",
        dialect=Dialect.OPENAI_CHAT,
        seconds=0.1,
        error=error,
    )


def _record(**facts) -> CallRecord:
    record = CallRecord(
        call_id=1,
        key_id=1,
        user_id=1,
        model="m",
        dialect=Dialect.OPENAI_CHAT,
        stream=True,
        began=0.0,
        input_bytes=35,
        attempts=[_attempt()],
    )
    return msgspec.structs.replace(record, **facts)


def test_a_completed_call_pays_what_was_reported():
    record = _record(usage=Usage(input=5, output=7), output_bytes=700)

    due = conclude(record, Outcome.COMPLETED, cut=False)

    assert due
    assert (record.usage, record.usage_source) == (
        Usage(input=5, output=7),
        UsageSource.REPORTED,
    )
    assert record.policy is None


def test_usage_that_never_came_is_a_labelled_estimate():
    record = _record(output_bytes=70)

    conclude(record, Outcome.COMPLETED, cut=False)

    assert record.usage == Usage(input=10, output=20)
    assert record.usage_source is UsageSource.ESTIMATED


def test_a_client_who_left_pays_what_was_reported_and_the_output_so_far():
    record = _record(usage=Usage(input=5, output=1), output_bytes=70)

    due = conclude(record, Outcome.CLIENT_GONE, cut=True)

    assert due
    assert record.usage == Usage(input=5, output=20)
    assert (record.policy, record.usage_source) == (Policy.CUT, UsageSource.ESTIMATED)


def test_a_reply_read_to_its_end_after_the_client_left_pays_what_was_reported():
    record = _record(usage=Usage(input=5, output=9), output_bytes=70)

    conclude(record, Outcome.CLIENT_GONE, cut=False)

    assert (record.usage, record.policy) == (Usage(input=5, output=9), Policy.DRAINED)


def test_a_client_who_left_while_the_upstream_worked_pays_the_input():
    record = _record(attempts=[_attempt("upstream_error"), _attempt("cancelled")])

    due = conclude(record, Outcome.CLIENT_GONE, cut=False)

    assert due
    assert record.usage == Usage(input=10)


@pytest.mark.parametrize("attempts", [[], [_attempt("upstream_error")]])
def test_a_client_who_left_between_attempts_pays_nothing(attempts):
    assert not conclude(_record(attempts=attempts), Outcome.CLIENT_GONE, cut=False)


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.UPSTREAM_CUT])
def test_an_upstreams_failure_without_output_is_free(outcome):
    record = _record(usage=Usage(input=5))

    assert not conclude(record, outcome, cut=True)
    assert record.policy is None


@pytest.mark.parametrize(
    ("outcome", "policy"),
    [
        (Outcome.FAILED, Policy.UPSTREAM_FAILED),
        (Outcome.UPSTREAM_CUT, Policy.UPSTREAM_CUT),
    ],
)
def test_an_upstreams_failure_after_output_is_paid_as_far_as_it_came(outcome, policy):
    record = _record(usage=Usage(input=5), output_bytes=7)

    due = conclude(record, outcome, cut=True)

    assert due
    assert (record.usage, record.policy) == (Usage(input=5, output=2), policy)


def test_an_absurd_usage_is_not_believed():
    record = _record(usage=Usage(input=10**12), output_bytes=7)

    conclude(record, Outcome.COMPLETED, cut=False)

    assert record.usage == Usage(input=10, output=2)
