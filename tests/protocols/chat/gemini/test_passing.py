"""What passes between a client and an upstream that both speak Gemini."""

import base64
import json
from pathlib import Path

import pytest

from meterway.kit.json import decode_top
from meterway.protocols.chat import neutral
from meterway.protocols.chat.codec import Facts
from meterway.protocols.chat.gemini import GEMINI, GEMINI_ARRAY
from meterway.protocols.errors import BadReplyError
from meterway.protocols.usage import Usage

WIRE = Path(__file__).parents[3] / "wire" / "gemini"
FACTS = Facts(model="m", stream=True)


def test_a_request_loses_nothing_but_what_its_path_says():
    body = b'{"model":"m","stream":true,"contents":[ {"parts":[{"text":"x"}]}],"unheard":1.50}'

    sent = GEMINI.pass_request(decode_top(body), "other")

    assert sent == b'{"contents":[ {"parts":[{"text":"x"}]}],"unheard":1.50}'


def test_a_reply_is_read_and_passes_as_it_came():
    body = (WIRE / "tools.json").read_bytes()

    seen = GEMINI.pass_reply(body, None)

    assert seen.body == body
    assert seen.usage == Usage(input=120, output=30, reasoning=64)
    assert seen.service_tier == "default"


def test_an_alias_stands_in_the_replys_place_for_the_model():
    seen = GEMINI.pass_reply((WIRE / "text.json").read_bytes(), "alias")

    assert json.loads(seen.body)["modelVersion"] == "alias"


def test_an_error_and_what_is_no_reply():
    error = b'{"error":{"code":500,"message":"Oh.","status":"INTERNAL"}}'

    failure = GEMINI.pass_reply(error, None).failure

    assert failure == neutral.Failed(message="Oh.", kind="INTERNAL", status=500)
    with pytest.raises(BadReplyError):
        GEMINI.pass_reply(b"[", None)


@pytest.mark.parametrize("name", ["text", "tools", "signed_text"])
def test_a_stream_passes_as_it_came_wherever_it_is_cut(name: str):
    stream = (WIRE / f"{name}.sse").read_bytes()

    for cut in range(0, len(stream) + 1, 7):
        reader = GEMINI.stream_reader(FACTS, None)
        assert reader.feed(stream[:cut]) + reader.feed(stream[cut:]) + reader.end() == stream
        assert reader.closed


def test_a_stream_is_metered_on_its_way():
    reader = GEMINI.stream_reader(FACTS, None)
    reader.feed((WIRE / "tools.sse").read_bytes())
    reader.end()

    assert reader.usage == Usage(input=120, output=30, reasoning=64)
    assert reader.service_tier == "default"
    assert reader.output_bytes == len(
        '**Two cities.** I need both.{"city": "Paris"}{"city": "Rom"}'
    )


def test_the_usage_of_a_cut_stream_is_the_last_that_came():
    reader = GEMINI.stream_reader(FACTS, None)
    stream = (WIRE / "text.sse").read_bytes()
    reader.feed(stream[: stream.index(b"rld!")])

    assert reader.end() == b""  # the torn chunk stays here
    assert not reader.closed
    assert reader.usage == Usage(input=9, output=1)


def test_a_stream_becomes_an_array_for_who_did_not_ask_for_events():
    stream = (WIRE / "text.sse").read_bytes()
    for cut in range(0, len(stream) + 1, 5):
        reader = GEMINI_ARRAY.stream_reader(FACTS, "alias")
        told = reader.feed(stream[:cut]) + reader.feed(stream[cut:]) + reader.end()

        words = [one["candidates"][0]["content"]["parts"][0]["text"] for one in json.loads(told)]
        assert "".join(words) == "Hello, wörld!"
        assert {one["modelVersion"] for one in json.loads(told)} == {"alias"}


def test_an_error_midway_is_forwarded_and_noted():
    stream = (WIRE / "error_mid_stream.sse").read_bytes()
    events, array = GEMINI.stream_reader(FACTS, None), GEMINI_ARRAY.stream_reader(FACTS, None)

    assert events.feed(stream) + events.end() == stream
    assert json.loads(array.feed(stream) + array.end())[-1]["error"]["code"] == 503
    for reader in (events, array):
        assert reader.failure is not None
        assert reader.failure.kind == "UNAVAILABLE"
        assert not reader.closed


def test_what_cannot_be_read_is_forwarded_unread():
    reader = GEMINI.stream_reader(FACTS, None)

    assert reader.feed(b": comment\n\ndata: {\n\n") == b": comment\n\ndata: {\n\n"
    array = GEMINI_ARRAY.stream_reader(FACTS, None)
    odd = b'data: {"candidates":1}\n\n'
    assert array.feed(b": comment\n\ndata: {\n\n" + odd) == b'[{"candidates":1}'


def test_thoughts_another_vendor_signed_do_not_pass():
    mark = base64.b64encode(b"meterway:sSIG").decode()
    hi = {"role": "user", "parts": [{"text": mark}]}
    own = {"text": "mine", "thought": True, "thoughtSignature": "c2ln"}
    others = {"text": "another's", "thought": True, "thoughtSignature": mark}
    spelled = {"text": "", "thought": True, "thought_signature": mark}
    turns = [
        hi,
        {"role": "model", "parts": [own, others, spelled]},
        hi,
        {"role": "model", "parts": [others]},
    ]

    body = decode_top(json.dumps({"model": "a", "stream": False, "contents": turns}).encode())
    passed = json.loads(GEMINI.pass_request(body, "b"))

    assert passed == {"contents": [hi, {"role": "model", "parts": [own]}, hi]}


def test_what_is_no_list_of_turns_passes_for_the_upstream_to_refuse():
    mark = base64.b64encode(b"meterway:sSIG").decode()

    for odd in ({"x": mark}, [mark], [{"parts": [mark]}]):
        body = decode_top(json.dumps({"model": "a", "contents": odd}).encode())
        assert json.loads(GEMINI.pass_request(body, "b")) == {"contents": odd}


def test_a_call_another_vendors_model_made_is_signed_for_gemini_3():
    call = {"functionCall": {"name": "f"}}
    signed = {"function_call": {"name": "g"}, "thought_signature": "c2ln"}
    turns = [
        {"role": "user", "parts": [{"text": '"functionCall"'}]},
        {"role": "model", "parts": [{"text": "So:"}, call, call]},
        {"role": "model", "parts": [signed, call]},
    ]
    body = decode_top(json.dumps({"model": "a", "contents": turns}).encode())

    new = json.loads(GEMINI.pass_request(body, "gemini-3-pro-preview"))["contents"]
    old = json.loads(GEMINI.pass_request(body, "gemini-2.5-pro"))["contents"]

    stand_in = {**call, "thoughtSignature": "skip_thought_signature_validator"}
    assert new[1]["parts"] == [{"text": "So:"}, stand_in, call]
    assert [new[0], new[2]] == [turns[0], turns[2]]
    assert old == turns


def test_calls_that_are_signed_pass_byte_by_byte():
    contents = b'[ {"parts":[{"functionCall":{"name":"f"},"thoughtSignature":"c2ln"} ]}]'
    body = decode_top(b'{"model":"a","contents":%b}' % contents)

    assert GEMINI.pass_request(body, "gemini-3-pro-preview") == b'{"contents":%b}' % contents
