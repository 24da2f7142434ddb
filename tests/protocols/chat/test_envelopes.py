"""Whose a signature is decides who is shown it, and how clients carry it."""

import json
from typing import Any

import msgspec
import pytest

from meterway.kit.json import decode_top
from meterway.protocols.chat import neutral
from meterway.protocols.chat.anthropic_messages import ANTHROPIC_MESSAGES
from meterway.protocols.chat.collect import collect, events_of
from meterway.protocols.chat.envelopes import Envelope, is_sealed, seal, unseal
from meterway.protocols.chat.gemini import GEMINI
from meterway.protocols.chat.openai_chat import OPENAI_CHAT
from meterway.protocols.dialects import Dialect
from tests.protocols.chat.gemini.signed import by_google

CALL = neutral.ToolCall(id="a", name="f", arguments="{}", signature="c2ln")
REPLY = neutral.Reply(
    id="r",
    model="m",
    choices=(neutral.Choice(parts=(CALL,), stop=neutral.StopReason.TOOL_CALLS),),
)
EXTRA = {"google": {"thought_signature": "c2ln"}}


def test_an_envelope_says_whose_it_is():
    envelope = Envelope(Dialect.GEMINI, "signature", "c2ln")

    assert is_sealed(seal(envelope))
    assert unseal(seal(envelope)) == envelope
    assert unseal("c2ln") is None
    assert not is_sealed("c2ln")


def test_an_openai_client_gets_a_calls_signature_as_from_googles_own_endpoint():
    whole = json.loads(OPENAI_CHAT.encode_reply(REPLY))
    encoder = OPENAI_CHAT.stream_encoder(neutral.Request(model="m", messages=()))
    stream = b"".join(encoder.encode(event) for event in events_of(REPLY))

    assert whole["choices"][0]["message"]["tool_calls"][0]["extra_content"] == EXTRA
    assert json.dumps(EXTRA, separators=(",", ":")).encode() in stream


def test_an_openai_client_returns_it():
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{**call, "extra_content": EXTRA}],
    }
    body = {"model": "m", "messages": [message]}

    (part,) = OPENAI_CHAT.decode_request(decode_top(json.dumps(body).encode())).messages[0].parts

    assert isinstance(part, neutral.ToolCall)
    assert part.signature == "c2ln"


def test_a_compatible_upstreams_signature_is_read_whole_and_streamed():
    decoder = OPENAI_CHAT.stream_decoder()
    encoder = OPENAI_CHAT.stream_encoder(neutral.Request(model="m", messages=()))
    stream = b"".join(encoder.encode(event) for event in events_of(REPLY))

    whole = OPENAI_CHAT.decode_reply(OPENAI_CHAT.encode_reply(REPLY))
    streamed = collect(decoder.feed(stream) + decoder.end())

    assert isinstance(whole, neutral.Reply)
    assert whole.choices[0].parts == streamed.choices[0].parts == (CALL,)


@pytest.mark.parametrize("extra", ["text", {"google": None}, {"google": {}}, {"other": 1}])
def test_other_extra_content_holds_none(extra: Any):
    call = {"id": "a", "function": {"name": "f"}, "extra_content": extra}
    body = {"model": "m", "messages": [{"role": "assistant", "tool_calls": [call]}]}

    (part,) = OPENAI_CHAT.decode_request(decode_top(json.dumps(body).encode())).messages[0].parts

    assert isinstance(part, neutral.ToolCall)
    assert part.signature is None


@pytest.mark.parametrize(("model", "sent"), [("google/gemini-3-pro", True), ("gpt-5", False)])
def test_only_a_gemini_behind_openais_dialect_gets_it_back(model: str, sent: bool):  # noqa: FBT001 - a table's column
    turn = neutral.Message(role=neutral.Role.ASSISTANT, parts=(CALL,))
    request = neutral.Request(model="m", messages=(turn,))

    body = OPENAI_CHAT.encode_request(request, model).body

    assert (b"extra_content" in body) is sent


def test_claude_is_not_shown_what_gemini_signed():
    thoughts = (
        neutral.Thinking(text="mine", signature="RXJV", path="p0"),
        neutral.Thinking(text="another's", signature=by_google("c2ln"), path="p1"),
    )
    turn = neutral.Message(role=neutral.Role.ASSISTANT, parts=(*thoughts, neutral.Text(text="x")))
    request = neutral.Request(model="m", messages=(turn,))

    encoded = ANTHROPIC_MESSAGES.encode_request(request, "claude-opus-5")

    assert encoded.dropped == ("p1",)
    content = msgspec.json.decode(encoded.body)["messages"][0]["content"]
    assert [block["type"] for block in content] == ["thinking", "text"]


def test_thoughts_of_gemini_come_back_to_it_over_a_client_of_anthropics():
    thought = neutral.Thinking(text="Hm.", signature=by_google("c2ln"))
    choice = neutral.Choice(parts=(thought, CALL), stop=neutral.StopReason.TOOL_CALLS)
    told = json.loads(
        ANTHROPIC_MESSAGES.encode_reply(msgspec.structs.replace(REPLY, choices=(choice,)))
    )
    history = [
        {"role": "assistant", "content": told["content"]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "1"}]},
    ]
    body = {"model": "m", "max_tokens": 9, "messages": history}

    request = ANTHROPIC_MESSAGES.decode_request(decode_top(json.dumps(body).encode()))
    sent = msgspec.json.decode(GEMINI.encode_request(request, "gemini-3-pro").body)

    assert [part.get("thoughtSignature") for part in sent["contents"][0]["parts"]] == [
        "c2ln",
        "skip_thought_signature_validator",
    ]
