"""Text completion requests: how prompts are read as turns, and what is refused."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterway.kit import json
from meterway.kit.errors import InvalidRequestError
from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_complete import (
    ANTHROPIC_COMPLETE,
    check_version,
    limit_tokens,
)
from meterway.protocols.chat.anthropic_complete.prompts import turns_of
from meterway.protocols.chat.anthropic_messages import ANTHROPIC_MESSAGES
from meterway.protocols.chat.wording import words_of

PROMPT = "\n\nHuman: Hello\n\nAssistant:"
BAD_START = 'prompt must start with "\n\nHuman:" turn after an optional system prompt'
BAD_END = 'prompt must end with "\n\nAssistant:" turn'


def body_of(**fields) -> json.RawObject:
    usual = {"model": "m", "prompt": PROMPT, "max_tokens_to_sample": 9}
    return json.decode_top(json.encode(usual | fields))


def sent(**fields):
    """Return what a Messages upstream is asked, and what it was not told."""
    request = ANTHROPIC_COMPLETE.decode_request(body_of(**fields))
    encoded = ANTHROPIC_MESSAGES.encode_request(request, "claude-3-opus")
    return msgspec.json.decode(encoded.body), encoded.dropped


def read(prompt: str) -> tuple[str | None, list[tuple[str, str]]]:
    system, messages = turns_of(prompt)
    turns = []
    for message in messages:
        (part,) = message.parts
        assert isinstance(part, neutral.Text)
        turns.append((message.role.value, words_of(part.text)))
    return (words_of(system[0].text) if system else None), turns


@pytest.mark.parametrize(
    ("prompt", "system", "turns"),
    [
        (PROMPT, None, [("user", "Hello")]),
        ("Human: Hello\n\nAssistant:", None, [("user", "Hello")]),
        ("\n\n\n\nHuman:Hello\n\nAssistant: ", None, [("user", "Hello")]),
        ("\r\n\r\nHuman: Hello\r\n\r\nAssistant:", None, [("user", "Hello")]),
        ("Be brief." + PROMPT, "Be brief.", [("user", "Hello")]),
        (
            "\n\nHuman: Count.\n\nAssistant: One,\n\ntwo,",
            None,
            [("user", "Count."), ("assistant", "One,\n\ntwo,")],
        ),
        (
            "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:",
            None,
            [("user", "a"), ("assistant", "b"), ("user", "c")],
        ),
        (
            "\n\nHuman: a\n\nHuman: He said\nHuman: b\n\nAssistant:",
            None,
            [("user", "a"), ("user", "He said\nHuman: b")],
        ),
    ],
)
def test_a_prompt_becomes_turns(prompt, system, turns):
    assert read(prompt) == (system, turns)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("", BAD_START),
        ("Hello", BAD_START),
        ("\n\nAssistant: Hello\n\nHuman: hi\n\nAssistant:", BAD_START),
        ("\n\nHuman: Hello", BAD_END),
        ("\n\nHuman: Hello\n\nAssistant: hi\n\nHuman: x", BAD_END),
        ("\n\nHuman:\n\nAssistant:", 'prompt: at least one "\n\nHuman:" turn must have text'),
    ],
)
def test_a_prompt_without_its_turns_is_refused_in_anthropics_words(prompt, words):
    with pytest.raises(InvalidRequestError) as refused:
        ANTHROPIC_COMPLETE.decode_request(body_of(prompt=prompt))

    assert (refused.value.message, refused.value.param) == (words, "prompt")


said = st.text(st.characters(codec="utf-8", exclude_characters=":"), min_size=1, max_size=20).map(
    str.strip
)


@given(st.lists(said.filter(bool), min_size=1, max_size=6), said)
def test_turns_written_down_read_back_the_same(turns, system):
    roles = ["user", "assistant"]
    names = {"user": "Human", "assistant": "Assistant"}
    told = [(roles[place % 2], text) for place, text in enumerate(turns)]
    prompt = system + "".join(f"\n\n{names[role]}: {text}" for role, text in told)
    if told[-1][0] == "user":
        prompt += "\n\nAssistant:"

    assert read(prompt) == (system or None, told)


def test_every_knob_reaches_a_messages_upstream():
    body, dropped = sent(
        prompt="Be brief." + PROMPT,
        stop_sequences=["\n\nHuman:", "x"],
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        metadata={"user_id": "u"},
        stream=True,
    )

    assert body == {
        "model": "claude-3-opus",
        "max_tokens": 9,
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
        "stop_sequences": ["\n\nHuman:", "x"],
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 5,
        "metadata": {"user_id": "u"},
        "stream": True,
    }
    assert dropped == ()


def test_what_only_later_apis_know_is_named():
    _, dropped = sent(novelty=1, metadata={"team": "x"}, stop_sequences=None, gone=None)

    assert dropped == ("novelty", "metadata.team")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"max_tokens_to_sample": 0}, "max_tokens_to_sample: Input should be greater than or"),
        ({"max_tokens_to_sample": "9"}, "max_tokens_to_sample: Input should be a valid integer"),
        ({"prompt": ["a"]}, "prompt: Input should be a valid string"),
        ({"stop_sequences": "x"}, "stop_sequences: Input should be a valid list"),
        ({"metadata": {"user_id": 1}}, "metadata.user_id: Input should be a valid string"),
    ],
)
def test_wrong_values_are_refused_in_anthropics_words(fields, words):
    with pytest.raises(InvalidRequestError) as refused:
        ANTHROPIC_COMPLETE.decode_request(body_of(**fields))

    assert refused.value.message.startswith(words)


@pytest.mark.parametrize("name", ["model", "prompt", "max_tokens_to_sample"])
def test_a_missing_field_is_named(name):
    body = body_of()
    del body[name]

    with pytest.raises(InvalidRequestError) as refused:
        ANTHROPIC_COMPLETE.decode_request(body)

    assert (refused.value.message, refused.value.param) == (f"{name}: Field required", name)


@pytest.mark.parametrize(
    ("asked", "most", "left"), [(10**30, 4096, 4096), (9, 4096, 9), (10**9, None, 10**9)]
)
def test_a_limit_of_any_size_is_held_to_what_the_model_can_write(asked, most, left):
    body = body_of(max_tokens_to_sample=asked)

    limit_tokens(body, {"m": most}.get)

    assert ANTHROPIC_COMPLETE.facts(body).max_tokens == left


def test_there_is_one_version_with_text_completions():
    check_version(None)
    check_version("2023-06-01")
    with pytest.raises(InvalidRequestError) as refused:
        check_version("2026-10-21")

    assert "/v1/messages" in refused.value.message


def test_facts_say_what_a_call_may_cost():
    facts = ANTHROPIC_COMPLETE.facts(body_of(stream=True))

    assert (facts.model, facts.stream, facts.max_tokens, facts.choices) == ("m", True, 9, 1)
    assert ANTHROPIC_COMPLETE.sizes(body_of(prompt="x" * 500)).text in range(500, 520)
