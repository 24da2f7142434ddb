"""What an upstream's failure means: what the caller sees, whether to try on, whether to rest.

A vendor speaks to the gateway, not to the caller: its 401 is about the channel's key, its 402
about the channel's account. Shown as they came they would make callers replace good keys.
"""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

import msgspec

from meterway.kit.errors import MeterwayError
from meterway.protocols.chat.neutral import Failed
from meterway.protocols.errors import (
    ACCOUNT_EMPTY,
    BadReplyError,
    CompactedElsewhereError,
    UnsupportedContentError,
)
from meterway.upstreams.errors import (
    AccountEmptyError,
    ConnectError,
    ConnectTimeoutError,
    CredentialRefusedError,
    ModelMissingError,
    RateLimitedError,
    ReplyTooLargeError,
    RequestRefusedError,
    ThoughtsRefusedError,
    TransportError,
    UpstreamError,
    VendorFaultError,
)

_LONGEST_WAIT = 86_400.0
_EPOCH_SECONDS, _EPOCH_MILLISECONDS = 1e9, 1e11  # larger numbers are points in time

_CREDENTIAL = "The provider refused the gateway's own credential; its operator has to replace it."

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")


class _Rule(msgspec.Struct, frozen=True, kw_only=True):
    """Answers with one of `statuses` whose kind or message fits `says` mean `kind`.

    `shows` is the status for the caller, None for the vendor's; `message` replaces the vendor's
    where that one speaks of the channel's secrets.
    """

    kind: type[UpstreamError]
    statuses: frozenset[int]
    says: re.Pattern[str] | None = None
    shows: int | None = None
    message: str | None = None

    def fits(self, status: int, failed: Failed) -> bool:
        """Whether the rule is about this answer."""
        if status not in self.statuses:
            return False
        return self.says is None or bool(
            self.says.search(f"{failed.kind} {failed.code} {failed.message}")
        )


def _says(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)


# The first that fits counts: some vendors answer 400 or 429 for what others call 401, 402 or 404.
_RULES = (
    _Rule(kind=AccountEmptyError, statuses=frozenset({402}), shows=503, message=ACCOUNT_EMPTY),
    # Google's words for a used-up rate begin like OpenAI's for an account without credit.
    _Rule(
        kind=RateLimitedError,
        statuses=frozenset({429}),
        says=_says(r"quota exceeded for metric|please retry in \d"),
    ),
    _Rule(
        kind=AccountEmptyError,
        statuses=frozenset({400, 403, 429}),
        says=_says(
            r"credit balance is too low|insufficient[ _](balance|quota|credit)"
            r"|exceeded your current quota, please check your plan"
        ),
        shows=503,
        message=ACCOUNT_EMPTY,
    ),
    _Rule(
        kind=RequestRefusedError,
        statuses=frozenset({403}),
        says=_says(r"moderation|flagged"),
        shows=400,
    ),
    _Rule(
        kind=CredentialRefusedError, statuses=frozenset({401, 403}), shows=503, message=_CREDENTIAL
    ),
    _Rule(
        kind=CredentialRefusedError,
        statuses=frozenset({400}),
        says=_says(r"api key not valid|(invalid|incorrect) api key"),
        shows=503,
        message=_CREDENTIAL,
    ),
    _Rule(kind=ModelMissingError, statuses=frozenset({404})),
    _Rule(
        kind=ModelMissingError,
        statuses=frozenset({400, 422}),
        says=_says(
            r"model_not_found|model not exist|invalid model\b|not a valid model"
            r"|model\b.{0,200}\bdoes not exist"
        ),
        shows=404,
    ),
    _Rule(
        kind=ThoughtsRefusedError,
        statuses=frozenset({400}),
        says=_says(r"invalid_encrypted_content|encrypted content\b.{0,200}\bcould not be verified"),
    ),
    _Rule(kind=RequestRefusedError, statuses=frozenset({400, 413, 422})),
    _Rule(kind=RateLimitedError, statuses=frozenset({429})),
    _Rule(kind=VendorFaultError, statuses=frozenset({503, 504, 529})),
    _Rule(kind=VendorFaultError, statuses=frozenset({408}), shows=504),
    _Rule(kind=VendorFaultError, statuses=frozenset({409}), shows=503),
)
_OTHERWISE = _Rule(kind=VendorFaultError, statuses=frozenset(), shows=502)


def upstream_error(
    status: int, headers: Mapping[str, str], failed: Failed, now: float
) -> UpstreamError:
    """Return the error to raise for an upstream's answer of `status` (not 2xx).

    `headers` have lower-case names, `failed` is the answer as its dialect reads it, `now` is
    wall time in seconds since the epoch, for waits given as a date.
    """
    rule = next((rule for rule in _RULES if rule.fits(status, failed)), _OTHERWISE)
    # code and param speak of the caller's request then
    theirs = issubclass(rule.kind, RequestRefusedError)
    return rule.kind(
        rule.message or failed.message,
        status=rule.shows or status,
        upstream_status=status,
        kind=failed.kind,
        code=failed.code if theirs else None,
        param=failed.param if theirs else None,
        retry_after=retry_after(headers, now),
    )


def falls_back(error: MeterwayError) -> bool:
    """Whether another route may do better than the one that failed with `error`."""
    match error:
        case UpstreamError():
            return error.falls_back
        case TransportError():
            return error.retryable
        case _:
            return isinstance(
                error, BadReplyError | UnsupportedContentError | CompactedElsewhereError
            )


def cools(error: MeterwayError) -> bool:
    """Whether the credential that failed with `error` should rest for a while."""
    match error:
        case UpstreamError():
            return error.cools
        case ReplyTooLargeError():
            return False
        case _:
            return isinstance(error, TransportError | BadReplyError)


def is_of_credential(error: MeterwayError) -> bool:
    """Whether every model fails alike over the credential that failed with `error`."""
    return isinstance(
        error, CredentialRefusedError | AccountEmptyError | ConnectError | ConnectTimeoutError
    )


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds a vendor asks to wait, None where it does not say.

    Read are `retry-after-ms`, `retry-after` (seconds or a date, RFC 9110 section 10.2.3), then
    the resets of exhausted limits: `x-ratelimit-reset-*` (`6m0s`, `120ms` or seconds) and
    `anthropic-ratelimit-*-reset` (RFC 3339).
    """
    seconds = _number(headers.get("retry-after-ms"), 0.001)
    if seconds is None and (text := headers.get("retry-after")):
        seconds = _number(text)
        if seconds is None:
            seconds = _until(text, now)
    if seconds is None:
        seconds = max(_resets(headers, now), default=None)
    return None if seconds is None else min(max(seconds, 0.0), _LONGEST_WAIT)


def _number(text: str | None, scale: float = 1.0) -> float | None:
    try:
        seconds = float(text) * scale if text else math.nan
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None


def _until(text: str, now: float) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() - now
    except ValueError:
        return None


def _resets(headers: Mapping[str, str], now: float) -> list[float]:
    """Return the waits of the limits that have nothing left."""
    waits = []
    for name, text in headers.items():
        if name.startswith("x-ratelimit-reset"):
            left, wait = name.replace("-reset", "-remaining"), _duration(text, now)
        elif name.startswith("anthropic-ratelimit-") and name.endswith("-reset"):
            left, wait = name.removesuffix("reset") + "remaining", _moment(text, now)
        else:
            continue
        if wait is not None and _number(headers.get(left, "0")) == 0:
            waits.append(wait)
    return waits


def _duration(text: str, now: float) -> float | None:
    if (seconds := _number(text)) is not None:
        if seconds > _EPOCH_MILLISECONDS:
            return seconds / 1000 - now
        return seconds - now if seconds > _EPOCH_SECONDS else seconds
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        return None
    hours, minutes, whole, thousandths = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + whole + thousandths / 1000


def _moment(text: str, now: float) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp() - now
    except ValueError:
        return None
