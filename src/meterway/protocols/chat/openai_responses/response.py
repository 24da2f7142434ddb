"""The response object: what a client is told of its call, framed by what it asked.

Follows https://platform.openai.com/docs/api-reference/responses/object.
"""

from typing import Any, TypeAlias

from meterway.protocols.chat.neutral import Failed, StopReason
from meterway.protocols.chat.openai_responses import wire
from meterway.protocols.chat.openai_responses.frame import Frame
from meterway.protocols.chat.openai_responses.usage import encode_usage
from meterway.protocols.errors import ACCOUNT_EMPTY
from meterway.protocols.usage import Usage

Wire: TypeAlias = dict[str, Any]
_LIMIT, _FILTER = "max_output_tokens", "content_filter"
_REASONS = {
    StopReason.LENGTH: _LIMIT,
    StopReason.CONTEXT_WINDOW: _LIMIT,
    StopReason.CONTENT_FILTER: _FILTER,
}
_CODES = {400: "invalid_prompt", 429: "rate_limit_exceeded"}
_KEPT_CODES = frozenset(  # what agents act on: they stop at once
    {"insufficient_quota", "context_length_exceeded", "rate_limit_exceeded", "server_error"}
)
_QUOTA = "insufficient_quota"
_AUTO = wire.Raw(b'"auto"')
_BEGUN = frozenset({"queued", "in_progress"})


class Ending:
    """How a response ends: its status and why it is not whole; in progress until it ended."""

    __slots__ = ("completed_at", "failure", "reason", "status")

    def __init__(self) -> None:
        self.status = "in_progress"
        self.reason: str | None = None
        self.failure: Failed | None = None
        self.completed_at: int | None = None

    def stop(self, stop: StopReason, *, refused: bool) -> None:
        """Note why the model stopped; a refusal without words is its vendor's filter."""
        self.reason = _REASONS.get(stop)
        if stop is StopReason.REFUSAL and not refused:
            self.reason = _FILTER

    @property
    def item_status(self) -> str:
        """What the last item is, once the model stopped."""
        return "completed" if self.reason is None else "incomplete"

    def close(self, now: int) -> None:
        """Note that nothing follows."""
        self.status = self.item_status
        self.completed_at = now if self.reason is None else None

    def fail(self, failure: Failed) -> None:
        """Note that the response failed."""
        self.status, self.failure, self.reason = "failed", failure, None


def describe(  # noqa: PLR0913 - the facts of a response
    frame: Frame,
    ending: Ending,
    *,
    model: str,
    output: wire.Raw | list[Any],
    usage: Usage | None,
    service_tier: str | None,
) -> Wire:
    """Return the response object with `output` for its items."""
    echo = dict(frame.echo)
    if service_tier in wire.TIERS:
        echo["service_tier"] = wire.Raw(b'"%b"' % service_tier.encode())
    elif echo.get("service_tier") == _AUTO and ending.status not in _BEGUN:
        echo["service_tier"] = wire.Raw(b'"default"')
    return {
        "id": frame.id,
        "object": "response",
        "created_at": frame.created_at,
        "status": ending.status,
        "completed_at": ending.completed_at,
        "error": None if ending.failure is None else error_of(ending.failure),
        "incomplete_details": None if ending.reason is None else {"reason": ending.reason},
        "model": model,
        "output": output,
        **echo,
        "usage": None if usage is None else encode_usage(usage),
    }


def as_told(failure: Failed) -> Failed:
    """Return an upstream's failure as its client is told of it.

    An upstream's quota is that of the gateway's own account: agents would stop, and tell their
    users to pay who have paid.
    """
    if _QUOTA not in {failure.code, failure.kind}:
        return failure
    return Failed(message=ACCOUNT_EMPTY, kind="server_error", status=503)


def error_of(failure: Failed) -> Wire:
    """Return a failure as the `error` of a response, whose codes are few."""
    for word in (failure.code, failure.kind):
        if word in _KEPT_CODES:
            return {"code": word, "message": failure.message}
    return {"code": _CODES.get(failure.status, "server_error"), "message": failure.message}
