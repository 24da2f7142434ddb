"""`channel test`: one tiny call along each key, told as it went."""

import json

import pytest

from meterway.cli.trial import outcomes
from meterway.upstreams.errors import ConnectError
from meterway.upstreams.providers import PROVIDERS
from meterway.upstreams.types import Channel, Credential
from tests.fakes.clock import FakeClock
from tests.fakes.transport import ScriptedTransport, whole

CHAT = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "test"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3},
}
MESSAGE = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "test"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 2, "output_tokens": 1},
}


def _channel(provider="openai", secrets=("s1",), **facts):
    row = PROVIDERS[provider]
    credentials = tuple(Credential(f"id-{secret}", secret) for secret in secrets)
    return Channel(
        id=1,
        name="a",
        provider=row,
        base_url=row.base_url or "https://x",
        credentials=credentials,
        **facts,
    )


async def _outcomes(channel, *script, model=None):
    transport = ScriptedTransport(*script)
    found = [one async for one in outcomes(channel, transport, FakeClock(), model)]
    return found, transport.sent


async def test_each_key_is_tried_with_the_channels_own_model():
    channel = _channel(secrets=("s1", "s2"), models={"ours": "theirs"})

    found, sent = await _outcomes(channel, whole(CHAT), whole(CHAT))

    assert [(o.credential, o.model, o.ok) for o in found] == [
        ("id-s1", "theirs", True),
        ("id-s2", "theirs", True),
    ]
    keys = [dict(request.headers)[b"authorization"] for request in sent]
    assert keys == [b"Bearer s1", b"Bearer s2"]
    assert json.loads(sent[0].body)["model"] == "theirs"


async def test_messages_upstream_is_asked_in_its_own_dialect():
    found, sent = await _outcomes(_channel("anthropic"), whole(MESSAGE), model="claude-3-opus")

    body = json.loads(sent[0].body)
    assert found[0].ok
    assert sent[0].url.target == "/v1/messages"
    assert (body["model"], body["max_tokens"]) == ("claude-3-opus", 16)


async def test_model_is_the_first_known_one_the_upstream_lists():
    listing = {"data": [{"id": "text-of-nobody"}, {"id": "gpt-4o"}]}

    found, sent = await _outcomes(_channel(), whole(listing), whole(CHAT))

    assert (sent[0].method, found[0].model, found[0].ok) == ("GET", "gpt-4o", True)


@pytest.mark.parametrize("listing", [{"data": []}, {"data": [{"id": "x-y-z"}]}, ["odd"]])
async def test_no_known_model_asks_for_one(listing):
    found, _ = await _outcomes(_channel(), whole(listing))

    assert not found[0].ok
    assert "--model" in found[0].error


async def test_refused_key_fails_and_the_next_is_tried_still():
    refusal = whole({"error": {"message": "Incorrect API key provided: s1"}}, status=401)
    channel = _channel(secrets=("s1", "s2"), models={"a": "a"})

    found, _ = await _outcomes(channel, refusal, whole(CHAT))

    assert [one.ok for one in found] == [False, True]
    assert found[0].error


async def test_unreachable_upstream_is_told():
    found, _ = await _outcomes(_channel(models={"a": "a"}), ConnectError("No connection."))

    assert (found[0].ok, found[0].error) == (False, "No connection.")


async def test_error_within_a_good_status_is_no_success():
    failed = whole({"error": {"message": "out of memory"}})

    found, _ = await _outcomes(_channel(models={"a": "a"}), failed)

    assert not found[0].ok


async def test_answer_that_is_no_reply_is_no_success():
    found, _ = await _outcomes(_channel(models={"a": "a"}), whole(["<html>"]))

    assert not found[0].ok


async def test_local_engine_without_a_key_is_called_once():
    channel = _channel("ollama", secrets=())

    found, sent = await _outcomes(channel, whole({"data": [{"id": "mine"}]}), whole(CHAT))

    assert [(one.credential, one.model, one.ok) for one in found] == [(None, "mine", True)]
    assert b"authorization" not in dict(sent[1].headers)
