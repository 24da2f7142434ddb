"""Whole replies, both ways."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.gemini import GEMINI
from meterway.protocols.errors import BadReplyError
from meterway.protocols.usage import Usage
from tests.protocols.chat.gemini.signed import by_google

WIRE = Path(__file__).parents[3] / "wire" / "gemini"


def read(name: str) -> neutral.Reply:
    reply = GEMINI.decode_reply((WIRE / name).read_bytes())
    assert isinstance(reply, neutral.Reply)
    return reply


def candidate(*parts: Any, finish: str = "STOP", **more: Any) -> neutral.Choice:
    said = {"content": {"parts": parts, "role": "model"}, "finishReason": finish, **more}
    reply = GEMINI.decode_reply(json.dumps({"candidates": [said], "responseId": "r/1="}).encode())
    assert isinstance(reply, neutral.Reply)
    return reply.choices[0]


def written(*parts: neutral.AssistantPart, **fields: Any) -> Any:
    choice = neutral.Choice(parts=parts, **fields)
    reply = neutral.Reply(id="r1", model="asked", choices=(choice,))
    return msgspec.json.decode(GEMINI.encode_reply(reply))


def test_words_alone():
    assert read("text.json") == neutral.Reply(
        id="rid-1",
        model="gemini-2.5-flash",
        choices=(neutral.Choice(parts=(neutral.Text(text="Hello, wörld!"),)),),
        usage=Usage(input=9, output=5),
    )


def test_thoughts_and_two_calls_the_first_one_signed():
    assert read("tools.json") == neutral.Reply(
        id="rid-2",
        model="gemini-3-pro-preview",
        choices=(
            neutral.Choice(
                parts=(
                    neutral.Thinking(text="**Two cities.** I need both."),
                    neutral.ToolCall(
                        id="fc1",
                        name="get_weather",
                        arguments='{"city":"Paris"}',
                        signature="c2lnLWE=",
                    ),
                    neutral.ToolCall(
                        id="fc2",
                        name="get_weather",
                        arguments='{"city":"Rom"}',
                    ),
                ),
                stop=neutral.StopReason.TOOL_CALLS,
            ),
        ),
        usage=Usage(input=120, output=30, reasoning=64),
        service_tier="default",
    )


def test_usage_falls_into_classes_that_never_overlap():
    usage = read("modalities.json").usage

    assert usage == Usage(
        input=192, cache_read=1000, input_audio=100, input_image=258, output=6, reasoning=44
    )
    assert usage is not None
    assert usage.total_input + usage.total_output == 1600


def test_a_blocked_prompt_is_a_reply_that_a_filter_ended():
    reply = read("blocked.json")

    assert reply.choices == (neutral.Choice(stop=neutral.StopReason.CONTENT_FILTER),)
    assert reply.usage == Usage(input=11)


def test_why_a_prompt_was_blocked_is_told():
    body = {"promptFeedback": {"blockReason": "OTHER", "blockReasonMessage": "Not this."}}
    reply = GEMINI.decode_reply(json.dumps(body).encode())

    assert isinstance(reply, neutral.Reply)
    assert reply.choices[0].parts == (neutral.Refusal(text="Not this."),)


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("STOP", "end"), ("MAX_TOKENS", "length"), ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"), ("PROHIBITED_CONTENT", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "end"), ("SOMETHING_NEW", "end"),
    ],
)  # fmt: skip
def test_why_a_candidate_ended(reason, stop):
    assert candidate({"text": "x"}, finish=reason).stop == stop


def test_a_call_without_id_gets_the_replys_and_its_place():
    choice = candidate({"functionCall": {"name": "f"}}, {"functionCall": {"name": "f"}})

    assert [part.id for part in choice.parts if isinstance(part, neutral.ToolCall)] == [
        "call_r_1__0",
        "call_r_1__1",
    ]


def test_parts_of_the_vendors_own_tools_are_left_out():
    choice = candidate(
        {"executableCode": {"language": "PYTHON", "code": "1"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK"}},
        {"text": "One."},
    )

    assert choice.parts == (neutral.Text(text="One."),)


def test_a_texts_signature_is_told_to_those_who_are_told_thoughts():
    signed = {"text": "Yes.", "thoughtSignature": "c2ln"}

    assert candidate(signed).parts == (neutral.Text(text="Yes."),)
    assert candidate({"text": "Hm.", "thought": True}, signed).parts == (
        neutral.Thinking(text="Hm."),
        neutral.Text(text="Yes."),
        neutral.Thinking(text="", signature=by_google("c2ln")),
    )


def test_a_picture_is_told():
    picture = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}

    assert candidate(picture).parts == (
        neutral.Image(source=sources.DataSource("image/png", "AAAA")),
    )


def test_logprobs_are_told_in_openais_object_and_back():
    result = {
        "chosenCandidates": [{"token": "é", "logProbability": -0.5}],
        "topCandidates": [{"candidates": [{"token": "e", "logProbability": -1.0}]}],
    }

    logprobs = candidate({"text": "é"}, logprobsResult=result).logprobs

    assert logprobs is not None
    assert msgspec.json.decode(logprobs) == {
        "content": [
            {
                "token": "é",
                "logprob": -0.5,
                "bytes": [195, 169],
                "top_logprobs": [{"token": "e", "logprob": -1.0, "bytes": [101]}],
            }
        ],
        "refusal": None,
    }
    told = written(neutral.Text(text="é"), logprobs=logprobs)
    assert told["candidates"][0]["logprobsResult"] == result


def test_an_error_in_a_200_is_a_failure():
    error = {"error": {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED"}}

    assert GEMINI.decode_reply(json.dumps(error).encode()) == neutral.Failed(
        message="Slow down.", kind="RESOURCE_EXHAUSTED", status=429
    )


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"candidates": 5}', b"\xff"])
def test_what_is_no_reply_is_a_bad_one(body):
    with pytest.raises(BadReplyError):
        GEMINI.decode_reply(body)


def test_a_clients_reply_has_googles_shape():
    choice = neutral.Choice(
        parts=(
            neutral.Thinking(text="Hm.", signature=by_google("c2ln")),
            neutral.ToolCall(id="a", name="f", arguments='{"x":1.50}', signature="Yg=="),
        ),
        stop=neutral.StopReason.TOOL_CALLS,
    )

    body = GEMINI.encode_reply(neutral.Reply(id="r1", model="asked", choices=(choice,)))

    call = {"id": "a", "name": "f", "args": {"x": 1.5}}
    said = [
        {"text": "Hm.", "thought": True, "thoughtSignature": "c2ln"},
        {"functionCall": call, "thoughtSignature": "Yg=="},
    ]
    content = {"parts": said, "role": "model"}
    assert b'{"x":1.50}' in body
    assert msgspec.json.decode(body) == {
        "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
        "modelVersion": "asked",
        "responseId": "r1",
    }


def test_a_client_is_told_the_usage_in_googles_sums():
    usage = Usage(input=5, cache_read=3, input_image=2, output=4, reasoning=6)
    reply = neutral.Reply(id="r1", model="m", choices=(), usage=usage, service_tier="flex")

    assert msgspec.json.decode(GEMINI.encode_reply(reply))["usageMetadata"] == {
        "promptTokenCount": 10,
        "cachedContentTokenCount": 3,
        "candidatesTokenCount": 4,
        "thoughtsTokenCount": 6,
        "totalTokenCount": 20,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 8},
            {"modality": "IMAGE", "tokenCount": 2},
        ],
        "serviceTier": "flex",
    }


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        (neutral.StopReason.END, "STOP"), (neutral.StopReason.LENGTH, "MAX_TOKENS"),
        (neutral.StopReason.CONTENT_FILTER, "SAFETY"), (neutral.StopReason.REFUSAL, "SAFETY"),
        (neutral.StopReason.STOP_SEQUENCE, "STOP"),
        (neutral.StopReason.CONTEXT_WINDOW, "MAX_TOKENS"),
    ],
)  # fmt: skip
def test_a_client_is_told_why_a_reply_ended(stop, reason):
    assert written(neutral.Text(text="x"), stop=stop)["candidates"][0]["finishReason"] == reason


def test_arguments_that_are_no_object_are_wrapped():
    call = written(neutral.ToolCall(id="a", name="f", arguments="oops"))["candidates"][0]

    assert call["content"]["parts"][0]["functionCall"]["args"] == {"INVALID_JSON": "oops"}


def test_another_vendors_signatures_come_back_as_they_were():
    said = (
        neutral.Thinking(text="Hm.", signature="RXJVQg=="),
        neutral.RedactedThinking(data="opaque"),
        neutral.Text(text="Yes."),
    )
    content = written(*said)["candidates"][0]["content"]
    body = {"model": b'"m"', "contents": json.dumps([content]).encode()}

    request = GEMINI.decode_request({key: msgspec.Raw(value) for key, value in body.items()})

    bare = tuple(msgspec.structs.replace(part, path="") for part in request.messages[0].parts)
    assert bare == said


def test_a_part_no_client_of_gemini_can_be_told_is_a_bad_reply():
    foreign = neutral.Foreign(kind="audio", raw=msgspec.Raw(b"{}"))

    with pytest.raises(BadReplyError):
        written(foreign)


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (400, {"error": {"code": 400, "message": "Bad.", "status": "FAILED_PRECONDITION"}},
         "FAILED_PRECONDITION", "Bad."),
        (429, [{"error": {"code": 429, "message": "Slow.", "status": "RESOURCE_EXHAUSTED"}}],
         "RESOURCE_EXHAUSTED", "Slow."),
        (503, "gone", "UNAVAILABLE", "gone"),
        (418, {}, "INVALID_ARGUMENT", "The upstream answered 418 I'm a Teapot."),
    ],
)  # fmt: skip
def test_a_refusal_keeps_its_words(status, body, kind, message):
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()

    assert GEMINI.decode_error(status, {}, raw) == neutral.Failed(
        message=message, kind=kind, status=status
    )
