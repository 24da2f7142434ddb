"""What an ended call is billed for: its usage where that is anybody's to pay, and why.

A client who leaves pays what the upstream read and wrote until it was cut; what an upstream broke
off is paid as far as it came, and not at all where nothing came. One call is one charge, whatever
was tried for it.
"""

import msgspec

from meterway.protocols.usage import Usage, UsageSource
from meterway.relay.record import CallRecord, Outcome, Policy
from meterway.tokens.types import estimate

_MOST_TOKENS = 10**9  # a thousand times the largest context
_UNDER_WAY = "cancelled"


def conclude(record: CallRecord, outcome: Outcome, *, cut: bool) -> bool:
    """Fix how `record` ended and complete its usage; return whether somebody pays for it.

    `cut` says that the reply did not reach its end, so a usage reported on the way lacks some of
    its output.
    """
    record.outcome = outcome
    usage = record.usage
    if usage is not None:
        if usage.total_input > _MOST_TOKENS or usage.total_output > _MOST_TOKENS:
            record.usage = None  # no model can have used so much: the upstream lies
        elif outcome is Outcome.COMPLETED and not cut:
            return True  # nearly every call, without the steps it does not need
    if not _is_due(record, outcome):
        return False
    record.policy = _policy(outcome, cut=cut)
    if record.usage is None or cut:
        _complete(record)
    return True


def _is_due(record: CallRecord, outcome: Outcome) -> bool:
    match outcome:
        case Outcome.COMPLETED:
            return True
        case Outcome.CLIENT_GONE:
            last = record.attempts[-1] if record.attempts else None
            return last is not None and last.error in {None, _UNDER_WAY}
        case Outcome.FAILED | Outcome.UPSTREAM_CUT:
            reported = record.usage.total_output if record.usage else 0
            return bool(record.output_bytes or reported)


def _policy(outcome: Outcome, *, cut: bool) -> Policy | None:
    match outcome:
        case Outcome.COMPLETED:
            return None
        case Outcome.CLIENT_GONE:
            return Policy.CUT if cut else Policy.DRAINED
        case Outcome.FAILED:
            return Policy.UPSTREAM_FAILED
        case Outcome.UPSTREAM_CUT:
            return Policy.UPSTREAM_CUT


def _complete(record: CallRecord) -> None:
    """Add to the usage what nobody reported, and label it where that is anything."""
    reported = record.usage or Usage(input=estimate(record.input_bytes))
    unsaid = max(estimate(record.output_bytes) - reported.total_output, 0)
    if record.usage is None or unsaid:
        record.usage = msgspec.structs.replace(reported, output=reported.output + unsaid)
        record.usage_source = UsageSource.ESTIMATED
