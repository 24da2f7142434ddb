"""Encrypted thoughts go back to the account that made them, and nobody else is sent them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from meterway.protocols.chat.envelopes import Envelope, label, seal, unlabel
from meterway.protocols.dialects import Dialect
from meterway.protocols.errors import CompactedElsewhereError
from meterway.routing.health import Breaker
from meterway.upstreams.errors import ThoughtsRefusedError, VendorFaultError
from tests.factories.houses import RESPONSES, House, credential
from tests.factories.relays import Relay, channel

GO_ON = {"role": "user", "content": "And?"}
FORGED = "A" * 12
streamed = pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])


@streamed
async def test_the_next_turn_goes_to_the_account_that_made_the_thought(streams: bool):  # noqa: FBT001 - a table's column
    house = House()
    output, kept = await house.ask(streams=streams)
    house.turn_to("b", "a")

    await house.ask(input=[*output, GO_ON], streams=streams)

    assert house.attempts() == ["a"]
    assert house.a.read() == [f"{house.a.secret}1"]
    assert [item["id"] for item in house.a.last["input"][:2]] == ["rs_a1", "msg_a1"]
    assert unlabel(output[0]["encrypted_content"]) == (credential("a").maker, f"{house.a.secret}1")
    assert kept == output


@streamed
async def test_another_account_is_asked_without_it_where_its_maker_is_down(streams: bool):  # noqa: FBT001 - a table's column
    house = House()
    output, _ = await house.ask()
    house.a.down = True

    more, _ = await house.ask(input=[*output, GO_ON], streams=streams)

    assert house.attempts() == ["a", "b"]
    assert (house.b.read(), house.b.refused) == ([], 0)
    kinds = [(item.get("type"), item.get("id")) for item in house.b.last["input"]]
    assert kinds == [("message", None), (None, None)]
    assert unlabel(more[0]["encrypted_content"])[0] == credential("b").maker


async def test_each_thought_of_a_history_goes_to_its_maker_the_latest_deciding():
    house = House()
    first, _ = await house.ask()
    house.a.down = True
    second, _ = await house.ask(input=[*first, GO_ON])
    house.a.down = False

    await house.ask(input=[*first, GO_ON, *second, GO_ON])

    assert house.attempts() == ["b"]
    assert house.b.read() == [f"{house.b.secret}1"]
    ids = [item.get("id") for item in house.b.last["input"]]
    assert ids == [None, None, "rs_b1", "msg_b1", None]


async def test_a_resting_maker_is_not_waited_for():
    house = House(breaker=Breaker(threshold=1, first=60))
    output, _ = await house.ask()
    house.a.down = True
    await house.ask()

    await house.ask(input=[*output, GO_ON])

    assert house.attempts() == ["b"]
    assert (house.b.read(), house.b.refused) == ([], 0)


async def test_a_maker_that_is_gone_is_nobodys_refusal():
    house = House()
    output, _ = await house.ask()
    house.turn_to("b")

    await house.ask(input=[*output, GO_ON])

    assert (house.b.read(), house.b.refused) == ([], 0)


async def test_keys_of_one_channel_are_accounts_of_their_own():
    keys = (credential("a"), credential("b"))
    house = House(channel(1, RESPONSES, credentials=keys))
    output, _ = await house.ask()
    (maker,) = house.attempts()

    for _ in range(3):  # whosever turn it is
        await house.ask(input=[*output, GO_ON])
        assert house.attempts() == [maker]


async def test_one_account_is_known_again_over_another_channel():
    house = House()
    output, _ = await house.ask()
    renewed = channel(9, RESPONSES, credentials=(credential("a"),), priority=5)
    house.relay.gate.router = Relay(channels=[*house.channels("b"), renewed]).gate.router

    await house.ask(input=[*output, GO_ON])

    assert house.a.read() == [f"{house.a.secret}1"]


async def test_a_thought_from_before_makers_had_names_goes_where_any_call_goes():
    house = House()
    old = {"type": "reasoning", "id": "rs_old", "summary": [], "encrypted_content": "gAAAAa-old"}

    await house.ask(input=[old, GO_ON])

    assert house.attempts() == ["a"]
    assert house.a.last["input"][0] == old


async def test_an_old_thought_finds_its_maker_where_another_refuses_it():
    house = House()
    old = {"type": "reasoning", "id": "rs_old", "summary": [], "encrypted_content": "gAAAAb-old"}

    await house.ask(input=[old, GO_ON])

    assert house.attempts() == ["a", "b"]
    assert (house.a.refused, house.b.last["input"][0]) == (1, old)
    assert not house.relay.health.troubled


async def test_what_nobody_made_is_refused_in_the_vendors_words():
    house = House()
    odd = {"type": "reasoning", "id": "rs_x", "summary": [], "encrypted_content": "nobody's"}

    with pytest.raises(ThoughtsRefusedError) as caught:
        await house.ask(input=[odd, GO_ON])

    assert (caught.value.status, caught.value.code) == (400, "invalid_encrypted_content")


@pytest.mark.parametrize(
    "text",
    [
        label("gAAAAa1", FORGED),
        label("gAAAAa1", "../channel/1"),
        label(label("gAAAAa1", FORGED), FORGED),
        label("", FORGED),
        seal(Envelope(Dialect.OPENAI_RESPONSES, "item", "gAAAAa1", "rs_1", credential("a").maker)),
        seal(Envelope(Dialect.ANTHROPIC_MESSAGES, "signature", "c2ln")),
        "mw1.",
        "mw1.broken",
    ],
    ids=["unknown", "odd", "twice", "empty", "sealed", "foreign", "mark", "broken"],
)
async def test_a_forged_name_leads_nowhere_else_and_nothing_forged_is_sent(text: str):
    house = House()
    forged = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": text}

    await house.ask(input=[forged, GO_ON])

    assert house.attempts() == ["a"]
    assert (house.a.read(), house.a.refused) == ([], 0)


async def test_a_forged_secret_under_a_true_name_reaches_nobody_but_that_account():
    house = House()
    text = label("nonsense", credential("b").maker)
    forged = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": text}

    await house.ask(input=[forged, GO_ON])

    assert house.attempts() == ["b", "a"]
    assert (house.b.refused, house.a.read()) == (1, [])


async def test_a_name_does_not_lead_to_a_channel_that_lacks_the_model():
    house = House(
        *House.channels("a"),
        channel(2, RESPONSES, credentials=(credential("b"),), models={"other": "other"}),
    )
    text = label(f"{house.b.secret}1", credential("b").maker)
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": text}

    await house.ask(input=[item, GO_ON])

    assert (house.attempts(), house.b.asked) == (["a"], [])


@streamed
async def test_a_vendors_own_compaction_goes_to_its_maker_too(streams: bool):  # noqa: FBT001 - a table's column
    house = House()
    house.a.compacts = True
    output, _ = await house.ask(streams=streams)
    house.turn_to("b", "a")

    await house.ask(input=[output[0], GO_ON], streams=streams)

    assert (output[0]["type"], house.attempts()) == ("compaction", ["a"])
    assert house.a.read() == [f"{house.a.secret}short"]


async def test_a_compaction_is_not_left_out_where_its_maker_is_gone():
    house = House()
    house.a.compacts = True
    output, _ = await house.ask()
    house.turn_to("b")

    with pytest.raises(CompactedElsewhereError) as caught:
        await house.ask(input=[output[0], GO_ON])

    assert (caught.value.status, caught.value.param) == (503, "input[0]")
    assert (house.b.asked, house.relay.health.troubled) == ([], False)


async def test_why_its_maker_failed_is_what_a_client_with_a_compaction_hears():
    house = House()
    house.a.compacts = True
    output, _ = await house.ask()
    house.a.down = True

    with pytest.raises(VendorFaultError):
        await house.ask(input=[output[0], GO_ON])


def _chat(reply: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Hi"}, reply["choices"][0]["message"], GO_ON]}


def _messages(reply: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": reply["content"]}]
    return {"max_tokens": 99, "messages": [*turns, GO_ON]}


def _contents(reply: Any) -> dict[str, Any]:
    asks = {"role": "user", "parts": [{"text": "Hi"}]}
    return {"contents": [asks, reply["candidates"][0]["content"], asks]}


@pytest.mark.parametrize(
    ("dialect", "first", "next_of"),
    [
        (Dialect.OPENAI_CHAT, {"messages": [GO_ON]}, _chat),
        (Dialect.ANTHROPIC_MESSAGES, {"messages": [GO_ON], "max_tokens": 99}, _messages),
        (Dialect.GEMINI, {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}, _contents),
    ],
    ids=["chat", "messages", "gemini"],
)
async def test_clients_of_other_dialects_come_back_to_the_account_too(
    dialect: Dialect, first: dict[str, Any], next_of: Callable[[Any], dict[str, Any]]
):
    house = House()
    named = {"model": "gpt-5", "stream": False}
    reply = json.loads(await house.relay.run({**named, **first}, dialect))
    house.turn_to("b", "a")

    await house.relay.run({**named, **next_of(reply)}, dialect)
    back = house.attempts(), house.a.read()
    house.a.down = True
    await house.relay.run({**named, **next_of(reply)}, dialect)

    assert back == (["a"], [f"{house.a.secret}1"])
    assert house.attempts() == ["a", "b"]
    assert (house.b.read(), house.b.refused) == ([], 0)
