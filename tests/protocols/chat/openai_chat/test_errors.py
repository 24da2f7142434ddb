"""Upstreams' error answers, in all the shapes they come in."""

import msgspec
import pytest

from meterway.kit import json
from meterway.protocols.chat import neutral
from meterway.protocols.chat.openai_chat import OPENAI_CHAT

SILENT = "The upstream answered with status 502 (Bad Gateway) and no message."


def read(status: int, body: bytes) -> neutral.Failed:
    return OPENAI_CHAT.decode_error(status, {}, body)


@pytest.mark.parametrize(
    ("status", "body", "failed"),
    [
        pytest.param(
            400,
            {
                "error": {
                    "message": "Too long.",
                    "type": "invalid_request_error",
                    "param": "messages",
                    "code": "context_length_exceeded",
                }
            },
            neutral.Failed(
                message="Too long.",
                kind="invalid_request_error",
                status=400,
                code="context_length_exceeded",
                param="messages",
            ),
            id="openai",
        ),
        pytest.param(
            400,
            {
                "error": {
                    "message": "Filtered.",
                    "type": None,
                    "param": "prompt",
                    "code": "content_filter",
                    "status": 400,
                    "innererror": {"code": "ResponsibleAIPolicyViolation"},
                }
            },
            neutral.Failed(
                message="Filtered.",
                kind="content_filter",
                status=400,
                code="content_filter",
                param="prompt",
            ),
            id="azure",
        ),
        pytest.param(
            401,
            {"statusCode": 401, "message": "Unauthorized."},
            neutral.Failed(message="Unauthorized.", kind="authentication_error", status=401),
            id="azure gateway",
        ),
        pytest.param(
            400,
            [{"error": {"code": 400, "message": "Bad.", "status": "INVALID_ARGUMENT"}}],
            neutral.Failed(message="Bad.", kind="INVALID_ARGUMENT", status=400),
            id="google",
        ),
        pytest.param(
            404,
            {"detail": "Not Found"},
            neutral.Failed(message="Not Found", kind="not_found_error", status=404),
            id="fastapi",
        ),
        pytest.param(
            422,
            {
                "detail": [
                    {"loc": ["body", "messages", 0], "msg": "field required", "type": "missing"},
                    {"loc": ["body", "n"], "msg": "not an integer"},
                ]
            },
            neutral.Failed(
                message="body.messages.0: field required; body.n: not an integer",
                kind="invalid_request_error",
                status=422,
            ),
            id="fastapi validation",
        ),
        pytest.param(
            400,
            {"object": "error", "message": "No.", "type": "BadRequestError", "code": 400},
            neutral.Failed(message="No.", kind="BadRequestError", status=400),
            id="vllm",
        ),
        pytest.param(
            500,
            {"error": "out of memory"},
            neutral.Failed(message="out of memory", kind="server_error", status=500),
            id="ollama",
        ),
        pytest.param(
            429,
            {"error": {"message": "Slow down.", "code": 429}},
            neutral.Failed(message="Slow down.", kind="rate_limit_error", status=429),
            id="openrouter",
        ),
    ],
)
def test_every_vendors_shape_is_read(status, body, failed):
    assert read(status, json.encode(body)) == failed


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", SILENT),
        (b"   \n", SILENT),
        (b"upstream connect error", "upstream connect error"),
        (
            b"<!DOCTYPE html><html><head><title>502 Bad &amp; gone</title></head></html>",
            "The upstream answered with a web page: 502 Bad & gone",
        ),
        (b"<html></html>", "The upstream answered with a web page: untitled"),
        (b"\xff\xfe broken", "\ufffd\ufffd broken"),
        (b'{"error":{}}', SILENT),
        (b'{"error":null}', '{"error":null}'),
        (b"[]", "[]"),
        (b'"busy"', "busy"),
    ],
)
def test_bodies_of_no_known_shape_still_say_something(body, message):
    failed = read(502, body)

    assert failed == neutral.Failed(message=message, kind="server_error", status=502)


@pytest.mark.parametrize(
    "body",
    [
        b"x" * 5_000_000,
        b'{"error":{"message":"' + b"x" * 5_000_000 + b'"}}',
        b'{"error":{"message":"' + b"x" * 50_000 + b'"}}',
        b"[" * 200_000,
        b"<html><title>" + b"x" * 50_000 + b"</title>",
    ],
)
def test_huge_and_deep_bodies_are_cut(body):
    failed = read(500, body)

    assert 0 < len(failed.message) <= 2000


def test_a_credential_in_the_message_is_masked():
    body = {"error": {"message": "Incorrect API key provided: sk-proj-ab12********yz98. See docs."}}

    failed = read(401, json.encode(body))

    assert failed.message == "Incorrect API key provided: ***. See docs."


def test_a_failure_is_told_in_openais_shape():
    failure = neutral.Failed(message="boom", kind="server_error", status=500, code="c", param="p")

    event = OPENAI_CHAT.encode_failure(failure)

    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    assert msgspec.json.decode(event[6:]) == {
        "error": {"message": "boom", "type": "server_error", "param": "p", "code": "c"}
    }
