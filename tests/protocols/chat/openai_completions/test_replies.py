"""Text completions for clients, whole and streamed, side by side and judged by the SDK's types."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Completion

from meterway.kit import json, sse
from meterway.protocols.chat import neutral
from meterway.protocols.chat.collect import events_of
from meterway.protocols.chat.neutral import StopReason
from meterway.protocols.chat.openai_completions.codec import OpenAICompletions
from meterway.protocols.errors import BadReplyError
from meterway.protocols.usage import Usage
from tests.fakes.clock import FakeClock

REQUEST = neutral.Request(model="m", messages=(), include_usage=True)
TOKENS: dict[str, Any] = {
    "content": [
        {"token": "Hé", "logprob": -0.5, "bytes": [72], "top_logprobs": []},
        {
            "token": "llo",
            "logprob": -1.5,
            "bytes": None,
            "top_logprobs": [{"token": "y", "logprob": -1.0, "bytes": None}],
        },
    ],
    "refusal": None,
}

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
parts = st.lists(
    st.builds(neutral.Text, text=texts)
    | st.builds(neutral.Refusal, text=texts)
    | st.builds(neutral.Thinking, text=texts, signature=st.none() | texts)
    | st.builds(neutral.RedactedThinking, data=texts),
    max_size=4,
).map(tuple)
tokens = st.lists(
    st.fixed_dictionaries({"token": texts, "logprob": st.just(-0.25)}), min_size=1, max_size=3
)


@st.composite
def choices(draw, index):
    said = draw(parts)
    has_text = any(isinstance(part, neutral.Text) for part in said)
    told = json.raw({"content": draw(tokens)}) if has_text and draw(st.booleans()) else None
    stop = draw(st.sampled_from(StopReason))
    return neutral.Choice(index=index, parts=said, stop=stop, logprobs=told)


replies = st.builds(
    neutral.Reply,
    id=texts,
    model=texts,
    choices=st.integers(1, 3).flatmap(lambda n: st.tuples(*(choices(i) for i in range(n)))),
    usage=st.none() | st.builds(Usage, input=st.integers(0, 99), reasoning=st.integers(0, 99)),
    created=st.none() | st.integers(0, 2**40),
    system_fingerprint=st.none() | texts,
)


def codec_of(echoed: str = "") -> OpenAICompletions:
    return OpenAICompletions(FakeClock(), echoed)


def reply_of(*said, stop=StopReason.END, logprobs=None, id_="chatcmpl-1") -> neutral.Reply:
    choice = neutral.Choice(parts=said, stop=stop, logprobs=logprobs)
    usage = Usage(input=3, output=2)
    return neutral.Reply(id=id_, model="m", choices=(choice,), usage=usage, created=1)


def whole(reply: neutral.Reply, echoed: str = ""):
    return msgspec.json.decode(codec_of(echoed).encode_reply(reply))


def streamed(events, echoed: str = "", request: neutral.Request = REQUEST) -> bytes:
    encoder = codec_of(echoed).stream_encoder(request)
    return b"".join(encoder.encode(event) for event in events)


def chunks_of(stream: bytes):
    blocks = [sse.parse(block) for block in sse.Splitter().feed(stream)]
    *found, last = [event.data for event in blocks if event is not None]
    assert last == b"[DONE]"
    return [msgspec.json.decode(data) for data in found]


def joined(chunks):
    """Return the choices a stream tells, as a whole reply has them."""
    told: dict[int, dict[str, Any]] = {}
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        one = told.setdefault(choice["index"], {"index": choice["index"], "text": "", "tokens": []})
        one["text"] += choice["text"]
        one["tokens"] += (choice["logprobs"] or {}).get("tokens", [])
        one["finish_reason"] = choice["finish_reason"] or one.get("finish_reason")
    return [told[index] for index in sorted(told)]


@given(replies, st.sampled_from(["", "Once upon a time"]))
def test_a_stream_says_what_the_whole_says(reply, echoed):
    body = whole(reply, echoed)

    chunks = chunks_of(streamed(events_of(reply), echoed))

    assert joined(chunks) == [
        {
            "index": choice["index"],
            "text": choice["text"],
            "tokens": (choice["logprobs"] or {}).get("tokens", []),
            "finish_reason": choice["finish_reason"],
        }
        for choice in body["choices"]
    ]
    head = ("id", "object", "created", "model", "system_fingerprint")
    assert {tuple(chunk[key] for key in head) for chunk in chunks} == {
        tuple(body[key] for key in head)
    }
    assert [c["usage"] for c in chunks if c["usage"]] == ([body["usage"]] if reply.usage else [])


@given(replies)
def test_the_official_sdk_takes_every_reply(reply):
    body = whole(reply)

    Completion.model_validate(body, strict=True)

    assert body["object"] == "text_completion"
    assert body["id"].startswith("cmpl-")
    for choice in body["choices"]:
        assert choice.keys() == {"text", "index", "logprobs", "finish_reason"}


def test_a_stream_tells_every_event_in_order():
    chunks = chunks_of(streamed(events_of(reply_of(neutral.Text(text="Hi")))))

    head = {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1,
        "model": "m",
        "system_fingerprint": None,
    }
    told = [("", None), ("Hi", None), ("", "stop")]
    assert chunks[:-1] == [
        {
            **head,
            "choices": [{"text": text, "index": 0, "logprobs": None, "finish_reason": reason}],
            "usage": None,
        }
        for text, reason in told
    ]
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"]) == ([], 5)


def test_usage_is_told_only_to_those_who_asked():
    request = neutral.Request(model="m", messages=())

    stream = streamed(events_of(reply_of(neutral.Text(text="Hi"))), request=request)

    assert b"usage" not in stream
    assert stream.endswith(b"data: [DONE]\n\n")


def test_reasoning_is_hidden_and_its_tokens_are_told():
    reply = reply_of(neutral.Thinking(text="hm", signature="s"), neutral.Text(text="Hi"))
    reply = msgspec.structs.replace(reply, usage=Usage(input=3, output=2, reasoning=5))

    body, stream = whole(reply), streamed(events_of(reply))

    assert body["choices"][0]["text"] == "Hi"
    assert body["usage"]["completion_tokens_details"]["reasoning_tokens"] == 5
    assert body["usage"]["completion_tokens"] == 7
    assert b"hm" not in stream


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        (StopReason.END, "stop"),
        (StopReason.STOP_SEQUENCE, "stop"),
        (StopReason.LENGTH, "length"),
        (StopReason.CONTEXT_WINDOW, "length"),
        (StopReason.CONTENT_FILTER, "content_filter"),
        (StopReason.REFUSAL, "content_filter"),
    ],
)
def test_the_reason_to_stop_has_one_of_three_words(stop, reason):
    reply = reply_of(neutral.Refusal(text="No."), stop=stop)

    assert whole(reply)["choices"][0]["finish_reason"] == reason
    assert joined(chunks_of(streamed(events_of(reply))))[0]["finish_reason"] == reason


def test_log_probabilities_have_the_older_shape():
    reply = reply_of(neutral.Text(text="Héllo"), logprobs=json.raw(TOKENS))

    plain, echoed = whole(reply)["choices"][0], whole(reply, "Say: ")["choices"][0]

    assert plain["logprobs"] == {
        "tokens": ["Hé", "llo"],
        "token_logprobs": [-0.5, -1.5],
        "top_logprobs": [{"Hé": -0.5}, {"y": -1.0, "llo": -1.5}],
        "text_offset": [0, 2],
    }
    assert (echoed["text"], echoed["logprobs"]["text_offset"]) == ("Say: Héllo", [5, 7])


def test_offsets_go_on_through_a_stream():
    first, second = (json.raw({"content": [one]}) for one in TOKENS["content"])
    events = [
        neutral.Opened(id="r", model="m"),
        neutral.TextDelta(text="Hé", logprobs=first),
        neutral.TextDelta(text="llo", logprobs=second),
        neutral.ChoiceEnded(stop=StopReason.END),
        neutral.Closed(),
    ]

    told = [chunk["choices"][0]["logprobs"] for chunk in chunks_of(streamed(events, "Say: "))]

    assert [one["text_offset"] for one in told if one] == [[5], [7]]


def test_every_choice_begins_with_the_echo():
    said = [neutral.Choice(index=i, parts=(neutral.Text(text=str(i)),)) for i in range(2)]
    reply = msgspec.structs.replace(reply_of(), choices=tuple(said))

    body = whole(reply, "n: ")

    assert [choice["text"] for choice in body["choices"]] == ["n: 0", "n: 1"]
    assert [one["text"] for one in joined(chunks_of(streamed(events_of(reply), "n: ")))] == [
        "n: 0",
        "n: 1",
    ]


def test_an_error_in_mid_stream_is_told_as_openai_does():
    failed = neutral.Failed(message="boom", kind="server_error", status=500)
    opened = neutral.Opened(id="r", model="m")

    stream = streamed([opened, neutral.TextDelta(text="Hi"), failed])

    said = b'{"error":{"message":"boom","type":"server_error","param":null,"code":null}}'
    assert stream.endswith(b"data: " + said + b"\n\n")
    assert codec_of().encode_failure(failed) == b"data: " + said + b"\n\n"


def test_a_part_that_is_no_text_is_the_upstreams_fault():
    reply = reply_of(neutral.ToolCall(id="a", name="f", arguments="{}"))

    with pytest.raises(BadReplyError):
        whole(reply)
    with pytest.raises(BadReplyError):
        streamed(events_of(reply))


@pytest.mark.parametrize("logprobs", [b"[]", b'{"content":[{"token":1}]}'])
def test_log_probabilities_that_are_none_are_the_upstreams_fault(logprobs):
    reply = reply_of(neutral.Text(text="Hi"), logprobs=msgspec.Raw(logprobs))

    with pytest.raises(BadReplyError):
        whole(reply)


@pytest.mark.parametrize(
    ("id_", "told"),
    [("chatcmpl-1", "cmpl-1"), ("msg_01a", "cmpl-01a"), ("7", "cmpl-7"), ("", "cmpl-unnamed")],
)
def test_ids_are_those_of_the_dialect(id_, told):
    assert whole(reply_of(id_=id_))["id"] == told
