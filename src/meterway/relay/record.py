"""What is kept of a call while it runs: every attempt, the usage, and how it ended."""

from enum import StrEnum

import msgspec

from meterway.kit.money import Nanos
from meterway.protocols.dialects import Dialect
from meterway.protocols.usage import Usage, UsageSource


class Outcome(StrEnum):
    """How a call ended, as seen from the client."""

    __hash__ = str.__hash__  # Enum's own is slow, and every call is counted by its outcome

    COMPLETED = "completed"
    FAILED = "failed"
    UPSTREAM_CUT = "upstream_cut"
    CLIENT_GONE = "client_gone"


class Policy(StrEnum):
    """How the usage of a reply that did not end of itself was come by."""

    DRAINED = "drained"  # the client left; the upstream's reply was read to its end
    CUT = "cut"  # the client left; what the upstream reported, and the output counted so far
    UPSTREAM_CUT = "upstream_cut"  # the upstream broke off; as far as it came
    UPSTREAM_FAILED = "upstream_failed"  # the upstream told of an error; as far as it came


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try at one route. Seconds count from the attempt's start; `error` is a code or None.

    `free` says that the provider costs nobody anything, such as an engine of one's own.
    """

    channel: str
    channel_id: int
    credential: str | None
    model: str
    dialect: Dialect
    seconds: float
    status: int | None = None
    error: str | None = None
    free: bool = False


class CallRecord(msgspec.Struct, kw_only=True):
    """One call from admission to end. Times are seconds: `began` since the epoch, others elapsed.

    `billing` is the billing channel, empty for the usual one.
    `dropped` names generic knobs the upstream's dialect could not take; `input_bytes` and
    `output_bytes` feed an estimate where the upstream reported no usage.
    """

    call_id: int
    key_id: int
    user_id: int
    model: str
    dialect: Dialect
    stream: bool
    began: float
    billing: str = ""
    input_bytes: int = 0
    output_bytes: int = 0
    attempts: list[Attempt] = []
    dropped: tuple[str, ...] = ()
    usage: Usage | None = None
    usage_source: UsageSource = UsageSource.REPORTED
    service_tier: str | None = None
    price: Nanos = 0
    outcome: Outcome | None = None
    policy: Policy | None = None
    error: str | None = None
    first_byte: float | None = None
    seconds: float = 0.0
