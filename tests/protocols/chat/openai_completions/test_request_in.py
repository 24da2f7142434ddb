"""Text completion requests: what a chat model is asked, and what is refused by name."""

import msgspec
import pytest

from meterway.kit import json
from meterway.kit.errors import InvalidRequestError
from meterway.protocols.chat import neutral
from meterway.protocols.chat.openai_chat import OPENAI_CHAT
from meterway.protocols.chat.openai_completions import OPENAI_COMPLETIONS
from meterway.protocols.chat.wording import words_of


def body_of(**fields) -> json.RawObject:
    return json.decode_top(json.encode({"model": "m", "prompt": "Say hi", **fields}))


def decoded(**fields) -> neutral.Request:
    return OPENAI_COMPLETIONS.decode_request(body_of(**fields))


def said(request: neutral.Request) -> str:
    (message,) = request.messages
    (part,) = message.parts
    assert isinstance(part, neutral.Text)
    assert message.role is neutral.Role.USER
    return words_of(part.text)


@pytest.mark.parametrize("prompt", ["Say hi\n", ["Say hi\n"]])
def test_a_prompt_is_one_user_message_and_nothing_else(prompt):
    request = decoded(prompt=prompt)

    assert said(request) == "Say hi\n"
    assert (request.system, request.tools, request.extra) == ((), (), {})
    assert request.sampling == neutral.Sampling(max_tokens=16)


def test_every_knob_reaches_a_chat_upstream():
    request = decoded(
        max_tokens=7,
        n=2,
        best_of=2,
        temperature=0.5,
        top_p=0.9,
        seed=3,
        presence_penalty=1,
        frequency_penalty=-1,
        logprobs=2,
        logit_bias={"50256": -100},
        stop=["a", "b"],
        user="u",
        stream=True,
        stream_options={"include_usage": True, "include_obfuscation": True},
    )

    sent = msgspec.json.decode(OPENAI_CHAT.encode_request(request, "up").body)

    assert sent == {
        "model": "up",
        "messages": [{"role": "user", "content": "Say hi"}],
        "max_tokens": 7,
        "n": 2,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 3,
        "presence_penalty": 1,
        "frequency_penalty": -1,
        "logprobs": True,
        "top_logprobs": 2,
        "logit_bias": {"50256": -100},
        "stop": ["a", "b"],
        "user": "u",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert request.include_usage


def test_absent_and_null_fields_are_not_sent():
    nulls = dict.fromkeys(
        ("suffix", "echo", "n", "best_of", "logprobs", "logit_bias", "stop", "user", "seed", "new")
    )

    sent = msgspec.json.decode(OPENAI_CHAT.encode_request(decoded(**nulls), "m").body)

    assert sent.keys() == {"model", "messages", "max_tokens"}


def test_log_probabilities_of_the_tokens_alone_ask_for_no_alternatives():
    sampling = decoded(logprobs=0).sampling

    assert (sampling.logprobs, sampling.top_logprobs) == (True, None)


def test_unknown_fields_are_named():
    encoded = OPENAI_CHAT.encode_request(decoded(min_p=0.1), "m")

    assert encoded.dropped == ("min_p",)


def test_text_before_a_suffix_is_asked_for_in_words():
    request = decoded(prompt="def one():\n", suffix="\n\nprint(one())")

    assert said(request) == "<before>def one():\n</before>\n<after>\n\nprint(one())</after>"
    (instruction,) = request.system
    assert "between" in words_of(instruction.text)


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"prompt": None}, "prompt", "Missing required parameter"),
        ({"prompt": ""}, "prompt", "it is empty"),
        ({"prompt": []}, "prompt", "it is empty"),
        ({"prompt": ["a", "b", "c"]}, "prompt", "not 3; send one request each"),
        ({"prompt": [1, 2]}, "prompt", "send the text itself"),
        ({"prompt": [[1, 2]]}, "prompt", "send the text itself"),
        ({"prompt": [["a"]]}, "prompt[0][0]", "expected an integer"),
        ({"prompt": 7}, "prompt", "expected one of a string or an array"),
        ({"suffix": 1}, "suffix", "expected a string"),
        ({"n": 0}, "n", ">= 1"),
        ({"n": 2, "best_of": 1}, "best_of", "must not be less than n, 2"),
        ({"best_of": 3}, "best_of", "send n=3 and choose yourself"),
        ({"max_tokens": 0}, "max_tokens", "at least 1 token"),
        ({"logprobs": -1}, "logprobs", ">= 0"),
        ({"logit_bias": [1]}, "logit_bias", "expected an object"),
        ({"stop": 1}, "stop", "expected one of"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(fields, param, words):
    with pytest.raises(InvalidRequestError) as refused:
        decoded(**fields)

    assert refused.value.param == param
    assert words in refused.value.message


def test_facts_say_what_a_call_may_cost():
    usual = OPENAI_COMPLETIONS.facts(body_of(best_of=0))
    asked = OPENAI_COMPLETIONS.facts(
        body_of(n=3, max_tokens=99, stream=True, stream_options={"include_usage": True})
    )

    assert (usual.model, usual.stream, usual.max_tokens, usual.choices) == ("m", False, 16, 1)
    assert (asked.stream, asked.include_usage) == (True, True)
    assert (asked.max_tokens, asked.choices) == (99, 3)


def test_facts_want_a_model():
    with pytest.raises(InvalidRequestError) as refused:
        OPENAI_COMPLETIONS.facts(json.decode_top(b'{"prompt":"hi"}'))

    assert refused.value.param == "model"


def test_all_of_a_request_counts_as_text():
    sizes = OPENAI_COMPLETIONS.sizes(body_of(prompt="x" * 500, suffix="y" * 500))

    assert sizes.text is not None
    assert 1000 <= sizes.text < 1050
    assert (sizes.images, sizes.documents, sizes.sounds, sizes.tools) == (0, 0, 0, 0)


def test_only_a_call_that_echoes_has_a_codec_of_its_own():
    plain = OPENAI_COMPLETIONS.for_call(body_of(echo=False))

    assert plain is OPENAI_COMPLETIONS
    assert OPENAI_COMPLETIONS.for_call(body_of(echo=True)) is not OPENAI_COMPLETIONS
    with pytest.raises(InvalidRequestError):
        OPENAI_COMPLETIONS.for_call(body_of(echo=True, prompt=[1]))
