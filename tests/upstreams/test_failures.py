"""What vendors' refusals become: class, status shown, and what the router does next."""

import pytest

from meterway.kit.errors import InvalidRequestError
from meterway.protocols.chat.neutral import Failed
from meterway.protocols.errors import BadReplyError, UnsupportedContentError
from meterway.upstreams import errors, failures

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z

# vendor status, kind, message → class, status shown, another route helps, this one rests
GOOGLES_RATE = (
    "You exceeded your current quota, please check your plan and billing details. "
    "* Quota exceeded for metric: generate_content_free_tier_requests, limit: 15. "
    "Please retry in 34.07s."
)
TABLE = [
    (400, "invalid_request_error", "bad field", errors.RequestRefusedError, 400, False, False),
    (413, "request_too_large", "too big", errors.RequestRefusedError, 413, False, False),
    (422, "extra_forbidden", "no such field", errors.RequestRefusedError, 422, False, False),
    (401, "authentication_error", "bad sk-x", errors.CredentialRefusedError, 503, True, True),
    (403, "permission_error", "not yours", errors.CredentialRefusedError, 503, True, True),
    (403, "", "input was flagged", errors.RequestRefusedError, 400, False, False),
    (
        400,
        "INVALID_ARGUMENT",
        "API key not valid. Please pass a valid API key.",
        errors.CredentialRefusedError,
        503,
        True,
        True,
    ),
    (402, "billing", "Insufficient Balance", errors.AccountEmptyError, 503, True, True),
    (
        400,
        "invalid_request_error",
        "Your credit balance is too low to access the API",
        errors.AccountEmptyError,
        503,
        True,
        True,
    ),
    (
        429,
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
        errors.AccountEmptyError,
        503,
        True,
        True,
    ),
    (404, "not_found_error", "model: x", errors.ModelMissingError, 404, True, False),
    (400, "invalid_request_error", "Model Not Exist", errors.ModelMissingError, 404, True, False),
    (400, "model_not_found", "nope", errors.ModelMissingError, 404, True, False),
    (
        400,
        "",
        "The model `x` does not exist or you do not have access to it.",
        errors.ModelMissingError,
        404,
        True,
        False,
    ),
    (429, "rate_limit_error", "slow down", errors.RateLimitedError, 429, True, True),
    (
        429,
        "RESOURCE_EXHAUSTED",
        GOOGLES_RATE,
        errors.RateLimitedError,
        429,
        True,
        True,
    ),
    (408, "timeout", "late", errors.VendorFaultError, 504, True, True),
    (409, "conflict", "busy", errors.VendorFaultError, 503, True, True),
    (500, "api_error", "boom", errors.VendorFaultError, 502, True, True),
    (502, "", "bad gateway", errors.VendorFaultError, 502, True, True),
    (503, "", "overloaded", errors.VendorFaultError, 503, True, True),
    (504, "", "late", errors.VendorFaultError, 504, True, True),
    (524, "", "cloudflare", errors.VendorFaultError, 502, True, True),
    (529, "overloaded_error", "Overloaded", errors.VendorFaultError, 529, True, True),
    (405, "", "method not allowed", errors.VendorFaultError, 502, True, True),
    (302, "", "moved", errors.VendorFaultError, 502, True, True),
]


@pytest.mark.parametrize(
    ("status", "kind", "message", "expected", "outcome"), [(*row[:4], row[4:]) for row in TABLE]
)
def test_a_vendors_refusal_is_read(status, kind, message, expected, outcome):
    error = failures.upstream_error(status, {}, Failed(message=message, kind=kind), NOW)

    assert type(error) is expected
    assert (error.status, failures.falls_back(error), failures.cools(error)) == outcome
    assert (error.upstream_status, error.kind) == (status, kind)


@pytest.mark.parametrize("status", [401, 402, 403])
def test_the_channels_secrets_and_account_stay_unsaid(status):
    failed = Failed(message="Incorrect API key provided: sk-abcd", kind="invalid_api_key")

    error = failures.upstream_error(status, {}, failed, NOW)

    assert "sk-" not in str(error)
    assert error.status == 503
    assert "operator" in str(error)


def test_a_message_that_only_mentions_a_model_is_no_missing_model():
    failed = Failed(message="This model's maximum context length is 8192 tokens.", kind="")

    assert type(failures.upstream_error(400, {}, failed, NOW)) is errors.RequestRefusedError


@pytest.mark.parametrize(
    ("error", "on", "rest"),
    [
        (errors.ConnectError("refused"), True, True),
        (errors.FirstByteTimeoutError("late"), True, True),
        (errors.CutConnectionError("cut"), True, True),
        (errors.ReplyTooLargeError("big"), False, False),
        (BadReplyError("not JSON"), True, True),
        (UnsupportedContentError("no audio", param="messages[0]"), True, False),
        (InvalidRequestError("wrong"), False, False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_errors_say_whether_to_go_on(error, on, rest):
    assert failures.falls_back(error) is on
    assert failures.cools(error) is rest


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Fri, 15 Jan 2027 08:00:30 GMT"}, 30.0),
        ({"retry-after": "Fri, 15 Jan 2027 07:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "999999999"}, 86_400.0),
        ({"x-ratelimit-reset-requests": "6m0s"}, 360.0),
        ({"x-ratelimit-reset-tokens": "120ms"}, 0.12),
        ({"x-ratelimit-reset-tokens": "1h2m3.5s"}, 3723.5),
        ({"x-ratelimit-reset": "1800000012000"}, 12.0),
        ({"x-ratelimit-reset": "1800000012"}, 12.0),
        ({"x-ratelimit-reset-requests": "what"}, None),
        (
            {
                "x-ratelimit-reset-requests": "6m0s",
                "x-ratelimit-remaining-requests": "12",
                "x-ratelimit-reset-tokens": "2s",
                "x-ratelimit-remaining-tokens": "0",
            },
            2.0,
        ),
        (
            {
                "anthropic-ratelimit-requests-reset": "2027-01-15T08:00:20Z",
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-tokens-reset": "2027-01-15T09:00:00Z",
                "anthropic-ratelimit-tokens-remaining": "5",
            },
            20.0,
        ),
        ({"retry-after": "3", "x-ratelimit-reset-tokens": "9s"}, 3.0),
    ],
)
def test_the_wait_a_vendor_asks_for_is_read(headers, seconds):
    assert failures.retry_after(headers, NOW) == (
        None if seconds is None else pytest.approx(seconds)
    )


def test_the_wait_stands_on_the_error():
    error = failures.upstream_error(
        429, {"retry-after": "2"}, Failed(message="slow", kind="rate_limit_error"), NOW
    )

    assert error.retry_after == 2.0


def test_code_and_param_of_a_refused_request_are_the_vendors():
    failed = Failed(
        message="too long",
        kind="invalid_request_error",
        code="context_length_exceeded",
        param="messages",
    )

    error = failures.upstream_error(400, {}, failed, NOW)

    assert (error.code, error.param) == ("context_length_exceeded", "messages")
    assert errors.RequestRefusedError.code == "invalid_request"


def test_a_vendors_code_tells_a_missing_model_and_an_empty_account():
    missing = Failed(message="?", kind="invalid_request_error", code="model_not_found")
    empty = Failed(message="?", kind="rate_limit_error", code="insufficient_quota")

    assert failures.upstream_error(400, {}, missing, NOW).code == "model_not_found"
    assert failures.upstream_error(429, {}, empty, NOW).code == "upstream_account_empty"


def test_a_refused_credential_keeps_the_vendors_code_to_itself():
    failed = Failed(message="no", kind="invalid_request_error", code="invalid_api_key", param="key")

    error = failures.upstream_error(401, {}, failed, NOW)

    assert (error.code, error.param) == ("upstream_credential_refused", None)
