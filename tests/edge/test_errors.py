"""Errors in each family: status, type, code, and what tells a client to retry."""

import msgspec
import pytest

from meterway.edge.errors import MethodNotAllowedError, render
from meterway.kit.errors import (
    ForbiddenError,
    InvalidRequestError,
    MeterwayError,
    NotFoundError,
    TooLargeError,
    UnauthorizedError,
    UnavailableError,
)
from meterway.protocols.dialects import Family
from meterway.routing.router import ModelNotFoundError
from meterway.upstreams.errors import (
    TransportError,
    UpstreamError,
    VendorFaultError,
)

OVERLOADED = VendorFaultError("m", status=529, upstream_status=529, kind="overloaded_error")
OPENAI, ANTHROPIC = Family.OPENAI, Family.ANTHROPIC


class ShortError(MeterwayError):
    status, code = 402, "insufficient_balance"


class LateError(MeterwayError):
    status, code = 504, "upstream_timeout"


class RateError(MeterwayError):
    status, code = 429, "rate_limit_exceeded"


def shown(error, family):
    rendered = render(error, family, "req_1")
    body = msgspec.json.decode(rendered.body)
    return rendered.status, body, dict(rendered.headers)


class DetailedError(InvalidRequestError):
    details = {"error_code": "odd", "unsupported": ["x"]}


def test_details_for_programs_stand_where_anthropics_clients_look():
    _, anthropic, _ = shown(DetailedError("m"), ANTHROPIC)
    _, openai, _ = shown(DetailedError("m"), OPENAI)
    _, plain, _ = shown(InvalidRequestError("m"), ANTHROPIC)

    assert anthropic["error"]["details"] == {"error_code": "odd", "unsupported": ["x"]}
    assert set(openai["error"]) == {"message", "type", "param", "code"}
    assert "details" not in plain["error"]


@pytest.mark.parametrize(
    ("error", "openai", "anthropic"),
    [
        (InvalidRequestError("m"), (400, "invalid_request_error"), (400, "invalid_request_error")),
        (UnauthorizedError("m"), (401, "invalid_request_error"), (401, "authentication_error")),
        (ShortError("m"), (429, "insufficient_quota"), (402, "billing_error")),
        (ForbiddenError("m"), (403, "permission_error"), (403, "permission_error")),
        (NotFoundError("m"), (404, "invalid_request_error"), (404, "not_found_error")),
        (TooLargeError("m"), (413, "invalid_request_error"), (413, "request_too_large")),
        (RateError("m"), (429, "rate_limit_error"), (429, "rate_limit_error")),
        (MeterwayError("m"), (500, "server_error"), (500, "api_error")),
        (UnavailableError("m"), (503, "service_unavailable_error"), (503, "api_error")),
        (LateError("m"), (504, "timeout_error"), (504, "timeout_error")),
        (OVERLOADED, (503, "service_unavailable_error"), (529, "overloaded_error")),
    ],
)
def test_status_and_type_are_the_dialects_own(error, openai, anthropic):
    status, body, _ = shown(error, OPENAI)
    status_a, body_a, _ = shown(error, ANTHROPIC)

    assert (status, body["error"]["type"]) == openai
    assert (status_a, body_a["error"]["type"]) == anthropic
    assert body["error"]["message"] == body_a["error"]["message"] == "m"


def test_openais_shape_has_all_its_keys():
    _, body, headers = shown(InvalidRequestError("m", param="messages[0]"), OPENAI)

    assert body == {
        "error": {
            "message": "m",
            "type": "invalid_request_error",
            "param": "messages[0]",
            "code": "invalid_request",
        }
    }
    assert headers[b"content-type"] == b"application/json"


def test_anthropics_shape_has_all_its_keys():
    _, body, _ = shown(InvalidRequestError("m"), ANTHROPIC)

    assert body == {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "m"},
        "request_id": "req_1",
    }


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ShortError("m"), "insufficient_balance_error"),
        (RateError("m"), "rate_limit_exceeded_error"),
    ],
)
def test_the_platforms_envelope_repeats_the_status(error, kind):
    status, body, _ = shown(error, None)

    assert body == {"statusCode": status, "message": "m", "errorType": kind, "data": None}
    assert status == error.status


def test_an_unknown_model_is_said_as_each_vendor_says_it():
    error = ModelNotFoundError("gpt-9")

    _, openai, _ = shown(error, OPENAI)
    _, anthropic, _ = shown(error, ANTHROPIC)

    assert (openai["error"]["code"], openai["error"]["param"]) == ("model_not_found", "model")
    assert anthropic["error"] == {"type": "not_found_error", "message": "model: gpt-9"}


def test_a_bad_key_has_the_code_clients_look_for():
    _, body, _ = shown(UnauthorizedError("m"), OPENAI)

    assert body["error"]["code"] == "invalid_api_key"


def test_no_credit_is_a_quota_to_openais_clients_and_never_retried():
    for family in (OPENAI, ANTHROPIC, None):
        _, _, headers = shown(ShortError("m"), family)
        assert headers[b"x-should-retry"] == b"false"

    _, body, _ = shown(ShortError("m"), OPENAI)
    assert body["error"]["code"] == "credit_balance_exhausted"


def test_a_passing_fault_says_when_to_retry():
    _, _, headers = shown(UnavailableError("m", retry_after=0.25), OPENAI)

    assert headers[b"x-should-retry"] == b"true"
    assert headers[b"retry-after"] == b"1"
    assert headers[b"retry-after-ms"] == b"250"


def test_a_fault_that_takes_long_to_pass_is_told_but_not_slept_through():
    _, _, headers = shown(UnavailableError("m", retry_after=61), ANTHROPIC)

    assert headers[b"x-should-retry"] == b"false"
    assert headers[b"retry-after"] == b"61"


def test_a_503_without_a_time_asks_for_a_second():
    _, _, headers = shown(UnavailableError("m"), ANTHROPIC)

    assert headers[b"retry-after"] == b"1"


def test_a_mistake_of_the_caller_says_nothing_of_retrying():
    _, _, headers = shown(InvalidRequestError("m"), OPENAI)

    assert set(headers) == {b"content-type"}


def test_an_upstreams_refusal_keeps_its_code_and_wait():
    error = UpstreamError(
        "too long",
        status=400,
        upstream_status=400,
        kind="invalid_request_error",
        code="context_length_exceeded",
        retry_after=7,
    )

    status, body, headers = shown(error, OPENAI)

    assert (status, body["error"]["code"]) == (400, "context_length_exceeded")
    assert headers[b"retry-after"] == b"7"
    assert b"x-should-retry" not in headers


@pytest.mark.parametrize("family", [OPENAI, ANTHROPIC, None])
def test_an_unexpected_exception_shows_its_id_and_nothing_else(family):
    status, body, _ = shown(KeyError("postgres://user:secret@db"), family)

    assert status == 500
    assert "secret" not in str(body)
    assert "req_1" in str(body)


def test_a_wrong_method_names_the_right_ones():
    _, _, headers = shown(MethodNotAllowedError("m", ("GET", "HEAD")), OPENAI)

    assert headers[b"allow"] == b"GET, HEAD"


def _every(kind: type[TransportError]) -> list[type[TransportError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in _every(child))]


@pytest.mark.parametrize("family", [OPENAI, ANTHROPIC, None])
@pytest.mark.parametrize("kind", _every(TransportError))
def test_a_broken_exchange_shows_no_address_of_the_upstream(kind, family):
    error = kind("No connection to 10.1.2.3:8443: [Errno 111] Connect call failed.")

    rendered = render(error, family, "req_1")

    assert b"The provider" in rendered.body
    assert not any(part in rendered.body for part in (b"10.1.2.3", b"8443", b"Errno"))
    assert "10.1.2.3:8443" in str(error)


def test_googles_errors_have_its_codes_and_statuses():
    status, body, _ = shown(ModelNotFoundError("m"), Family.GOOGLE)

    assert status == 404
    assert (body["error"]["code"], body["error"]["status"]) == (404, "NOT_FOUND")
    assert shown(ShortError("Top it up."), Family.GOOGLE)[1] == {
        "error": {"code": 402, "message": "Top it up.", "status": "RESOURCE_EXHAUSTED"}
    }
