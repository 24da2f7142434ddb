"""The legacy text completions of live gateways, by official clients: straight, and translated."""

from typing import Any

import anthropic
import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.conformance.conftest import Way

pytestmark = pytest.mark.conformance
SAID = "Say hi to Zoë 你好"
ECHO = f"[sandbox] {SAID}"
TURNS = {"prompt": f"\n\nHuman: {SAID}\n\nAssistant:", "max_tokens_to_sample": 10**9}


@pytest.fixture
def texts(way: Way):
    with OpenAI(base_url=f"{way.gateway.base}/v1", api_key=way.gateway.key, max_retries=0) as made:
        yield made.completions


@pytest.fixture
def turns(way: Way):
    """The newer client's bare requests: it has no resource for these completions any more."""
    with Anthropic(
        base_url=way.gateway.base,
        api_key=way.gateway.key,
        max_retries=0,
        default_headers={"anthropic-version": "2023-06-01"},
    ) as made:
        yield made


def told(client: Anthropic, **fields: Any) -> list[dict[str, Any]]:
    """Return what the events of a stream say, but for pings."""
    body = {**TURNS, **fields, "stream": True}
    stream = client.post(
        "/v1/complete",
        body=body,
        cast_to=object,
        stream=True,
        stream_cls=anthropic.Stream[Any],
    )
    return list(stream)


def test_a_whole_completion_is_typed_and_metered(way):
    strict = OpenAI(
        base_url=f"{way.gateway.base}/v1",
        api_key=way.gateway.key,
        _strict_response_validation=True,
    )

    with strict as client:
        reply = client.completions.create(
            model=way.to("gpt-4o-mini"), prompt=SAID, max_tokens=100, temperature=0.5
        )

    (choice,) = reply.choices
    assert (choice.text, choice.finish_reason, choice.index) == (ECHO, "stop", 0)
    assert (reply.object, reply.model) == ("text_completion", way.to("gpt-4o-mini"))
    assert reply.id.startswith("cmpl-")
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert reply.usage.completion_tokens > 5


def test_a_stream_says_what_the_whole_says(texts, way):
    ask = {"model": way.to("gpt-4o-mini"), "prompt": SAID, "max_tokens": 100, "echo": True}

    whole = texts.create(**ask)
    *chunks, last = texts.create(**ask, stream=True, stream_options={"include_usage": True})

    assert whole.choices[0].text == SAID + ECHO
    assert "".join(chunk.choices[0].text for chunk in chunks) == SAID + ECHO
    assert [c.choices[0].finish_reason for c in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert (last.choices, last.usage.total_tokens) == ([], whole.usage.total_tokens)


def test_reasoning_is_not_told(texts, way):
    ask = {"model": way.to("sandbox/reasoning"), "prompt": SAID, "max_tokens": 100}

    whole = texts.create(**ask)
    chunks = list(texts.create(**ask, stream=True))

    assert whole.choices[0].text == "".join(c.choices[0].text for c in chunks) == ECHO


def test_an_error_in_mid_stream_is_raised(texts, turns, way):
    model = way.to("sandbox/error-mid-stream")

    with pytest.raises(openai.APIError):
        list(texts.create(model=model, prompt=SAID, stream=True))
    with pytest.raises(anthropic.APIStatusError) as broken:
        told(turns, model=model)
    assert "in the middle of its answer" in broken.value.message


def test_refusals_are_typed(texts, turns, way):
    with pytest.raises(openai.BadRequestError) as several:
        texts.create(model=way.to("gpt-4o-mini"), prompt=["a", "b"])
    with pytest.raises(anthropic.BadRequestError) as plain:
        told(turns, model=way.to("claude-opus-5-5"), prompt=SAID)
    with pytest.raises(openai.RateLimitError):
        texts.create(model=way.to("sandbox/rate-limited"), prompt=SAID)

    assert several.value.param == "prompt"
    assert "prompt must start with" in plain.value.message


@pytest.mark.parametrize("model", ["claude-opus-5-5", "gpt-4o-mini"])
def test_turns_are_answered_by_any_model(turns, way, model):
    ask = {**TURNS, "model": way.to(model)}

    whole: Any = turns.post("/v1/complete", body=ask, cast_to=object)
    *more, last = told(turns, model=way.to(model))

    assert (whole["type"], whole["completion"]) == ("completion", ECHO)
    assert (whole["stop_reason"], whole["stop"]) == ("stop_sequence", "\n\nHuman:")
    assert "".join(event["completion"] for event in more) == ECHO
    assert (last["stop_reason"], last["stop"]) == ("stop_sequence", "\n\nHuman:")
    assert whole["model"] == last["model"] == way.to(model)
