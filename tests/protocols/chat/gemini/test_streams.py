"""Streams, both ways, and whole beside streamed."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from meterway.protocols.chat import neutral
from meterway.protocols.chat.collect import collect, events_of
from meterway.protocols.chat.gemini import GEMINI, GEMINI_ARRAY
from meterway.protocols.errors import BadReplyError
from meterway.protocols.usage import Usage
from tests.protocols.chat.gemini.signed import by_google

WIRE = Path(__file__).parents[3] / "wire" / "gemini"
REQUEST = neutral.Request(model="asked", messages=())


def read(stream: bytes) -> list[neutral.Event]:
    decoder = GEMINI.stream_decoder()
    return decoder.feed(stream) + decoder.end()


def chunk(*parts: Any, **more: Any) -> bytes:
    candidate = {"content": {"parts": list(parts), "role": "model"}, **more}
    return b"data: " + json.dumps({"candidates": [candidate], "responseId": "r"}).encode() + b"\n\n"


def told(*events: neutral.Event, codec: Any = GEMINI) -> bytes:
    encoder = codec.stream_encoder(REQUEST)
    return b"".join(encoder.encode(event) for event in events)


def chunks(stream: bytes) -> list[Any]:
    assert stream.endswith(b"\n\n")
    blocks = stream.split(b"\n\n")[:-1]
    return [json.loads(block.removeprefix(b"data: ")) for block in blocks]


def parts(stream: bytes) -> list[Any]:
    return [one["candidates"][0]["content"]["parts"] for one in chunks(stream)]


@pytest.mark.parametrize("name", ["text", "tools"])
def test_a_stream_tells_what_the_whole_reply_does(name: str):
    whole = GEMINI.decode_reply((WIRE / f"{name}.json").read_bytes())
    streamed = collect(read((WIRE / f"{name}.sse").read_bytes()))

    assert isinstance(whole, neutral.Reply)
    assert compact(streamed) == compact(whole)


def compact(reply: neutral.Reply) -> neutral.Reply:
    def small(part: Any) -> Any:
        if not isinstance(part, neutral.ToolCall):
            return part
        return msgspec.structs.replace(part, arguments=json.dumps(json.loads(part.arguments)))

    choices = tuple(
        msgspec.structs.replace(choice, parts=tuple(map(small, choice.parts)))
        for choice in reply.choices
    )
    return msgspec.structs.replace(reply, choices=choices)


@pytest.mark.parametrize("name", ["text", "tools", "signed_text", "error_mid_stream"])
def test_bytes_cut_anywhere_give_the_same_events(name: str):
    stream = (WIRE / f"{name}.sse").read_bytes()
    expected = read(stream)

    for cut in range(len(stream) + 1):
        decoder = GEMINI.stream_decoder()
        assert decoder.feed(stream[:cut]) + decoder.feed(stream[cut:]) + decoder.end() == expected


def test_the_events_of_a_turn_with_tools():
    assert read((WIRE / "tools.sse").read_bytes()) == [
        neutral.Opened(
            id="rid-2",
            model="gemini-3-pro-preview",
            usage=Usage(input=120, reasoning=40),
            service_tier="default",
        ),
        neutral.ThinkingDelta(text="**Two cities.** "),
        neutral.ThinkingDelta(text="I need both."),
        neutral.ToolCallOpened(id="fc1", name="get_weather", signature="c2lnLWE=", part=1),
        neutral.ToolCallDelta(arguments='{"city": "Paris"}', part=1),
        neutral.ToolCallOpened(id="fc2", name="get_weather", part=2),
        neutral.ToolCallDelta(arguments='{"city": "Rom"}', part=2),
        neutral.ChoiceEnded(stop=neutral.StopReason.TOOL_CALLS),
        neutral.UsageReported(Usage(input=120, output=30, reasoning=64)),
        neutral.Closed(),
    ]


def test_a_signature_at_the_end_is_a_part_of_its_own():
    reply = collect(read((WIRE / "signed_text.sse").read_bytes()))

    assert reply.choices[0].parts == (
        neutral.Thinking(text="Hm."),
        neutral.Text(text="Yes."),
        neutral.Thinking(text="", signature=by_google("c2lnLWI=")),
    )


def test_an_array_of_chunks_reads_as_their_stream():
    stream = (WIRE / "tools.sse").read_bytes()
    listed = b",\r\n".join(
        block.removeprefix(b"data: ") for block in stream.split(b"\r\n\r\n") if block
    )

    assert read(b"[" + listed + b"\n]\n") == read(stream)


def test_a_whole_reply_in_a_streams_place_is_understood():
    whole = (WIRE / "text.json").read_bytes()

    assert collect(read(whole)) == GEMINI.decode_reply(whole)


def test_a_stream_without_a_finish_reason_was_cut():
    events = read(chunk({"text": "Hel"}))

    assert not any(isinstance(event, neutral.Closed) for event in events)


def test_an_error_midway_ends_the_stream():
    events = read((WIRE / "error_mid_stream.sse").read_bytes())

    assert events[-1] == neutral.Failed(
        message="The model is overloaded. Please try again later.", kind="UNAVAILABLE", status=503
    )


def test_a_blocked_prompt_ends_the_stream_at_once():
    block = b"data: " + json.dumps(json.loads((WIRE / "blocked.json").read_bytes())).encode()

    events = read(block + b"\n\n")

    assert events[1:] == [
        neutral.ChoiceEnded(stop=neutral.StopReason.CONTENT_FILTER),
        neutral.UsageReported(Usage(input=11)),
        neutral.Closed(),
    ]


def test_several_candidates_end_each_by_itself():
    first = chunk({"text": "a"}, index=0, finishReason="STOP")
    second = chunk({"text": "b"}, index=1)

    assert not any(isinstance(event, neutral.Closed) for event in read(first + second))
    ended = read(first + second + chunk(index=1, finishReason="MAX_TOKENS"))
    assert [choice.stop for choice in collect(ended).choices] == ["end", "length"]


@pytest.mark.parametrize(
    "block", [b"data: {\n\n", b'data: {"candidates":1}\n\n', b"data: \xff\n\n"]
)
def test_what_is_no_chunk_is_a_bad_reply(block: bytes):
    with pytest.raises(BadReplyError):
        read(block)


def test_a_file_in_a_stream_is_a_bad_reply():
    with pytest.raises(BadReplyError):
        read(chunk({"inlineData": {"mimeType": "image/png", "data": "AAAA"}}))


def test_a_client_is_told_text_as_it_comes_and_calls_whole():
    stream = told(
        neutral.Opened(id="r1", model="m"),
        neutral.ThinkingDelta(text="Hm."),
        neutral.ThinkingSigned(signature=by_google("c2ln")),
        neutral.TextDelta(text="Hel", part=1),
        neutral.TextDelta(text="lo", part=1),
        neutral.ToolCallOpened(id="a", name="f", part=2),
        neutral.ToolCallDelta(arguments='{"x"', part=2),
        neutral.ToolCallOpened(id="b", name="g", signature="Yg==", part=3),
        neutral.ToolCallDelta(arguments=":1}", part=2),
        neutral.ChoiceEnded(stop=neutral.StopReason.TOOL_CALLS),
    )

    assert parts(stream) == [
        [{"text": "Hm.", "thought": True}],
        [{"text": "", "thought": True, "thoughtSignature": "c2ln"}],
        [{"text": "Hel"}],
        [{"text": "lo"}],
        [
            {"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}},
            {"functionCall": {"id": "b", "name": "g", "args": {}}, "thoughtSignature": "Yg=="},
        ],
    ]


def test_the_last_chunk_has_why_it_ended_and_the_usage():
    stream = told(
        neutral.Opened(id="r1", model="m"),
        neutral.TextDelta(text="Hi"),
        neutral.ChoiceEnded(stop=neutral.StopReason.LENGTH),
        neutral.UsageReported(Usage(input=3, output=2)),
        neutral.Closed(),
    )

    content = {"parts": [{"text": ""}], "role": "model"}
    assert chunks(stream)[-1] == {
        "candidates": [{"content": content, "finishReason": "MAX_TOKENS", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": 3,
            "candidatesTokenCount": 2,
            "totalTokenCount": 5,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 3}],
        },
        "modelVersion": "m",
        "responseId": "r1",
    }
    assert all(one["responseId"] == "r1" for one in chunks(stream))


def test_a_refusal_is_told_from_an_answer_whole_and_streamed():
    refusal = neutral.Choice(parts=(neutral.Refusal(text="No."),), stop=neutral.StopReason.REFUSAL)
    reply = neutral.Reply(id="r", model="m", choices=(refusal,))

    whole = json.loads(GEMINI.encode_reply(reply))["candidates"][0]
    last = chunks(told(*events_of(reply)))[-1]["candidates"][0]

    assert whole["content"]["parts"] == [{"text": "No."}]
    assert whole["finishReason"] == last["finishReason"] == "SAFETY"


def test_arguments_over_several_lines_do_not_cut_the_event():
    stream = told(
        neutral.Opened(id="r1", model="m"),
        neutral.ToolCallOpened(id="a", name="f"),
        neutral.ToolCallDelta(arguments='{\n"x":\r\n1}'),
        neutral.ChoiceEnded(stop=neutral.StopReason.TOOL_CALLS),
    )

    assert parts(stream)[0][0]["functionCall"]["args"] == {"x": 1}


def test_calls_come_before_the_words_that_follow_them():
    stream = told(
        neutral.Opened(id="r1", model="m"),
        neutral.ToolCallOpened(id="a", name="f"),
        neutral.TextDelta(text="Done.", part=1),
    )

    assert [next(iter(one[0])) for one in parts(stream)] == ["functionCall", "text"]


def test_without_alt_sse_a_stream_is_one_array():
    events: list[neutral.Event] = [
        neutral.Opened(id="r1", model="m"),
        neutral.TextDelta(text="Hi"),
        neutral.ChoiceEnded(stop=neutral.StopReason.END),
        neutral.Closed(),
    ]

    stream = told(*events, codec=GEMINI_ARRAY)

    assert json.loads(stream) == chunks(told(*events))


def test_an_error_closes_the_array():
    failure = neutral.Failed(message="Busy", kind="overloaded_error", status=529)
    begun = told(
        neutral.Opened(id="r", model="m"), neutral.TextDelta(text="Hi"), codec=GEMINI_ARRAY
    )
    error = {"error": {"code": 529, "message": "Busy", "status": "INTERNAL"}}

    assert json.loads(begun + GEMINI_ARRAY.encode_failure(failure))[-1] == error
    ended = told(
        neutral.Opened(id="r", model="m"),
        neutral.TextDelta(text="Hi"),
        failure,
        codec=GEMINI_ARRAY,
    )
    assert json.loads(ended)[-1] == error
    assert chunks(GEMINI.encode_failure(failure)) == [error]


@pytest.mark.parametrize("name", ["text.json", "tools.json"])
def test_what_a_client_is_told_reads_back_the_same(name: str):
    reply = GEMINI.decode_reply((WIRE / name).read_bytes())
    assert isinstance(reply, neutral.Reply)

    stream = told(*events_of(reply))

    back = collect(read(stream))
    back = msgspec.structs.replace(back, service_tier=reply.service_tier)
    assert compact(back) == compact(reply)
