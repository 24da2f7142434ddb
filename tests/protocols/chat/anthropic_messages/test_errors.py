"""Errors of an upstream, and those a client's stream is told of."""

import msgspec
import pytest

from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_messages import ANTHROPIC_MESSAGES

KINDS = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error",
    403: "permission_error", 404: "not_found_error", 413: "request_too_large",
    429: "rate_limit_error", 500: "api_error", 504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip


def read(status, body, **headers):
    return ANTHROPIC_MESSAGES.decode_error(status, headers, body)


@pytest.mark.parametrize(("status", "kind"), KINDS.items())
def test_the_vendors_own_error_is_read(status, kind):
    body = {"type": "error", "error": {"type": kind, "message": "Said."}, "request_id": "r"}

    assert read(status, msgspec.json.encode(body)) == neutral.Failed(
        message="Said.", kind=kind, status=status
    )


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b'{"error":{"message":"Said.","type":"invalid_request_error","code":"x"}}', None),
        (429, b'{"error":{"message":"Said.","type":"requests"}}', "rate_limit_error"),
        (418, b'{"detail":"Said."}', "invalid_request_error"),
        (503, b"Said.", "api_error"),
    ],
)
def test_any_other_body_goes_by_its_status(status, body, kind):
    failure = read(status, body)

    assert failure.message == "Said."
    assert failure.status == status
    assert failure.kind == (kind or "invalid_request_error")


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (neutral.Failed(message="m", kind="overloaded_error", status=502), "overloaded_error"),
        (neutral.Failed(message="m", kind="insufficient_quota", status=429), "rate_limit_error"),
        (neutral.Failed(message="m", kind="weird", status=502), "api_error"),
        (neutral.Failed(message="m", kind="weird", status=422), "invalid_request_error"),
    ],
)
def test_a_failure_is_an_error_event_of_the_vendors_kinds(failure, kind):
    event = ANTHROPIC_MESSAGES.encode_failure(failure)

    assert event.startswith(b"event: error\ndata: ")
    assert event.endswith(b"\n\n")
    assert msgspec.json.decode(event[len(b"event: error\ndata: ") :]) == {
        "type": "error",
        "error": {"type": kind, "message": "m"},
    }
