"""What the gateway reads of a request before anybody decodes it."""

import pytest

from meterway.kit.errors import InvalidRequestError
from meterway.kit.json import decode_top
from meterway.protocols.chat.openai_chat import OPENAI_CHAT


def test_model_stream_usage_and_tier_are_read():
    body = decode_top(
        b'{"model":"m","stream":true,"stream_options":{"include_usage":true},"service_tier":"flex"}'
    )

    facts = OPENAI_CHAT.facts(body)

    assert (facts.model, facts.stream, facts.include_usage, facts.service_tier) == (
        "m",
        True,
        True,
        "flex",
    )


@pytest.mark.parametrize(
    ("fields", "max_tokens", "choices"),
    [
        (b"", None, 1),
        (b',"max_tokens":5', 5, 1),
        (b',"max_completion_tokens":7,"max_tokens":null,"n":3', 7, 3),
        (b',"max_completion_tokens":1,"max_tokens":90000,"n":null', 90_000, 1),
        (b',"max_completion_tokens":9,"max_tokens":1', 9, 1),
    ],
)
def test_the_largest_answer_a_client_may_want_is_read(fields, max_tokens, choices):
    facts = OPENAI_CHAT.facts(decode_top(b'{"model":"m"' + fields + b"}"))

    assert (facts.max_tokens, facts.choices) == (max_tokens, choices)


@pytest.mark.parametrize(
    "options", [b"", b',"stream_options":null', b',"stream_options":{"include_usage":false}']
)
def test_a_streaming_client_that_did_not_ask_gets_no_usage(options):
    facts = OPENAI_CHAT.facts(decode_top(b'{"model":"m","stream":true' + options + b"}"))

    assert not facts.include_usage


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        (b"{}", "model", "you must provide a model parameter"),
        (b'{"model":""}', "model", "you must provide a model parameter"),
        (
            b'{"model":5}',
            "model",
            "Invalid type for 'model': expected a string, but got an integer instead.",
        ),
        (
            b'{"model":null}',
            "model",
            "Invalid type for 'model': expected a string, but got null instead.",
        ),
        (
            b'{"model":"m","stream":"yes"}',
            "stream",
            "Invalid type for 'stream': expected a boolean, but got a string instead.",
        ),
        (
            b'{"model":"m","stream":true,"stream_options":[]}',
            "stream_options",
            "Invalid type for 'stream_options': expected an object, but got an array instead.",
        ),
        (
            b'{"model":"m","service_tier":[]}',
            "service_tier",
            "Invalid type for 'service_tier': expected a string, but got an array instead.",
        ),
        (
            b'{"model":"m","max_tokens":"5"}',
            "max_tokens",
            "Invalid type for 'max_tokens': expected an integer, but got a string instead.",
        ),
        (
            b'{"model":"m","n":1.5}',
            "n",
            "Invalid type for 'n': expected an integer, but got a decimal instead.",
        ),
    ],
)
def test_a_bad_field_is_refused_in_openais_words(body, param, message):
    with pytest.raises(InvalidRequestError) as refusal:
        OPENAI_CHAT.facts(decode_top(body))

    assert refusal.value.param == param
    assert refusal.value.message == message
