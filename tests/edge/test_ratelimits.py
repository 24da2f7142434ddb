"""What is left of a limit, in the headers each family's clients read; SDKs judge the refusals."""

import re
from datetime import UTC, datetime

import anthropic
import httpx2
import msgspec
import openai
import pytest

from meterway.edge.errors import render
from meterway.edge.ratelimits import duration, headers_of, moment
from meterway.limits.errors import RateLimitedError
from meterway.limits.types import Standing, Standings
from meterway.protocols.dialects import Family

OPENAI, ANTHROPIC = Family.OPENAI, Family.ANTHROPIC
LEFT = Standings(at=1_800_000_000.25, requests=Standing(12, 0, 60.0), tokens=Standing(900, 7, 0.02))
GO_DURATION = re.compile(rb"(?:\d+h)?(?:\d+m(?!s))?(?:\d+(?:\.\d+)?s)|\d+ms")


def refusal(wait=5.2):
    return RateLimitedError("Slow down.", retry_after=wait, standings=LEFT)


def response(error, family):
    rendered = render(error, family, "req_1")
    return httpx2.Response(rendered.status, headers=rendered.headers, content=rendered.body)


def sdk(family, reply):
    client = httpx2.Client(transport=httpx2.MockTransport(lambda _: reply))
    kind = openai.OpenAI if family is OPENAI else anthropic.Anthropic
    return kind(api_key="sk-x", http_client=client, max_retries=0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, b"0ms"),
        (0.0201, b"21ms"),
        (0.02, b"20ms"),
        (0.9999, b"1s"),
        (1, b"1s"),
        (1.5, b"1.5s"),
        (1.05, b"1.05s"),
        (60, b"1m0s"),
        (360, b"6m0s"),
        (3599.9999, b"1h0m0s"),
        (3723.004, b"1h2m3.004s"),
    ],
)
def test_openais_times_are_gos_durations_and_never_too_short(seconds, text):
    assert duration(seconds) == text
    assert GO_DURATION.fullmatch(text)


def test_anthropics_times_are_moments_never_too_early():
    assert moment(1_800_000_000.0) == b"2027-01-15T08:00:00Z"
    assert moment(1_800_000_000.25) == b"2027-01-15T08:00:01Z"
    assert datetime.fromisoformat(moment(0.1).decode()) == datetime.fromtimestamp(1, UTC)


def test_openais_headers():
    assert dict(headers_of(LEFT, OPENAI)) == {
        b"x-ratelimit-limit-requests": b"12",
        b"x-ratelimit-remaining-requests": b"0",
        b"x-ratelimit-reset-requests": b"1m0s",
        b"x-ratelimit-limit-tokens": b"900",
        b"x-ratelimit-remaining-tokens": b"7",
        b"x-ratelimit-reset-tokens": b"20ms",
    }


def test_anthropics_headers_tell_one_token_limit_three_times():
    told = dict(headers_of(LEFT, ANTHROPIC))

    assert told[b"anthropic-ratelimit-requests-limit"] == b"12"
    assert told[b"anthropic-ratelimit-requests-remaining"] == b"0"
    assert told[b"anthropic-ratelimit-requests-reset"] == b"2027-01-15T08:01:01Z"
    for name in (b"tokens", b"input-tokens", b"output-tokens"):
        prefix = b"anthropic-ratelimit-" + name
        assert told[prefix + b"-limit"] == b"900"
        assert told[prefix + b"-remaining"] == b"7"
        assert told[prefix + b"-reset"] == b"2027-01-15T08:00:01Z"
    assert len(told) == 12


@pytest.mark.parametrize("family", [OPENAI, ANTHROPIC, None])
def test_what_is_not_limited_has_no_headers(family):
    assert headers_of(Standings(at=0.0), family) == []


@pytest.mark.parametrize("family", [OPENAI, ANTHROPIC])
def test_a_refusal_carries_what_is_left(family):
    rendered = render(refusal(), family, "req_1")

    assert rendered.status == 429
    assert set(headers_of(LEFT, family)) <= set(rendered.headers)
    assert (b"retry-after", b"6") in rendered.headers
    assert (b"retry-after-ms", b"5200") in rendered.headers
    assert (b"x-should-retry", b"true") in rendered.headers


def test_the_platforms_refusal_says_when_to_come_back_and_no_more():
    rendered = render(refusal(), None, "req_1")

    assert msgspec.json.decode(rendered.body) == {
        "statusCode": 429,
        "message": "Slow down.",
        "errorType": "rate_limit_exceeded_error",
        "data": None,
    }
    assert not any(b"ratelimit" in name for name, _ in rendered.headers)
    assert (b"retry-after", b"6") in rendered.headers


@pytest.mark.parametrize("family", [OPENAI, ANTHROPIC])
def test_official_clients_retry_when_they_are_told_to(family):
    reply = response(refusal(), family)
    client = sdk(family, reply)

    assert client._should_retry(reply)
    assert client._parse_retry_after_header(reply.headers) == 5.2


@pytest.mark.parametrize("family", [OPENAI, ANTHROPIC])
def test_official_clients_do_not_sleep_for_an_hour(family):
    reply = response(refusal(wait=3600), family)

    assert not sdk(family, reply)._should_retry(reply)


def test_openais_client_raises_its_own_rate_limit_error():
    client = sdk(OPENAI, response(refusal(), OPENAI))

    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])

    assert (caught.value.type, caught.value.code) == ("rate_limit_error", "rate_limit_exceeded")


def test_anthropics_client_raises_its_own_rate_limit_error():
    client = sdk(ANTHROPIC, response(refusal(), ANTHROPIC))

    with pytest.raises(anthropic.RateLimitError) as caught:
        client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}])

    assert isinstance(caught.value.body, dict)
    assert caught.value.body["error"]["type"] == "rate_limit_error"
