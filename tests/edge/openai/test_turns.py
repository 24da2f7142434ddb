"""Turns of the Responses API: what goes on its way, and what is kept of it."""

import json

import msgspec
import pytest

from meterway.auth.types import Principal
from meterway.db.engine import reading
from meterway.edge.http import InFlight
from meterway.edge.openai.responses.turns import BackgroundNotStoredError, Turns
from meterway.edge.openai.shelf import Shelf
from meterway.edge.platform.envelope import Door
from meterway.kit.errors import InvalidRequestError
from meterway.kit.json import decode_top
from meterway.threads.conversations import service as conversations
from meterway.threads.errors import (
    ConversationNotFoundError,
    ItemNotFoundError,
    PreviousResponseNotFoundError,
    ZeroRetentionError,
)
from meterway.threads.responses import service as responses
from meterway.threads.types import Retention
from meterway.threads.writer import Writer
from tests.factories.users import new_user
from tests.fakes.clock import FakeClock

SAID = [
    {"type": "message", "id": "msg_a", "role": "assistant", "status": "completed", "content": []},
    {"type": "reasoning", "id": "rs_a", "summary": [], "encrypted_content": "c2VjcmV0"},
]


class Desk:
    """Two users' turns on one shelf."""

    def __init__(self, engine, users) -> None:
        self.shelf = Shelf(
            door=Door(authenticator=None, in_flight=InFlight(1), pace=None),  # type: ignore[arg-type]  # nobody comes through it
            engine=engine,
            writer=Writer(engine),
            clock=FakeClock(),
            retention=Retention(30),
            body_limit=1 << 20,
        )
        self.ann, self.bob = (Principal(key_id=1, user_id=user, key_name="k") for user in users)
        self.turns = Turns(self.shelf)

    async def begin(self, caller=None, **body):
        body = {"model": "m", "input": "hi", **body}
        return await self.turns.begin(decode_top(json.dumps(body).encode()), caller or self.ann)

    async def said(self, caller=None, **body):
        """Make a turn and end it with `SAID`."""
        turn = await self.begin(caller, **body)
        turn.frame.final = json.dumps({"id": turn.frame.id, "output": SAID[:1]}).encode()
        turn.frame.output, turn.frame.status = json.dumps(SAID).encode(), "completed"
        assert turn.due is bool(turn.stores or turn.conversation)
        await turn.keep()
        assert not turn.due
        return turn

    async def stored(self, id_, caller=None):
        async with reading(self.shelf.engine) as connection:
            return await responses.get(connection, (caller or self.ann).user_id, id_)


@pytest.fixture
async def desk(engine):
    made = Desk(engine, [await new_user(engine) for _ in range(2)])
    yield made
    await made.shelf.writer.close()
    await made.shelf.door.close()


def asked(turn):
    """Return the input that goes on its way, without the ids that are ours."""
    items = msgspec.json.decode(turn.body["input"])
    return [(item["type"], item.get("role"), item["id"]) for item in items]


async def test_a_first_turn_is_kept_with_ids_for_what_was_asked(desk):
    turn = await desk.said(metadata={"a": "b"}, background=False)

    kept = await desk.stored(turn.frame.id)
    (item,) = msgspec.json.decode(kept.input)
    assert item["id"].startswith("msg_")
    assert item["content"] == [{"type": "input_text", "text": "hi"}]
    assert kept.body == turn.frame.final
    assert kept.expires_at == kept.created_at + 30 * 86_400
    assert {"previous_response_id", "conversation", "background"}.isdisjoint(turn.body)


async def test_a_first_turn_goes_on_its_way_as_it_came(desk):
    turn = await desk.begin(input=[{"role": "user", "content": "hi"}])

    assert msgspec.json.decode(turn.body["input"]) == [{"role": "user", "content": "hi"}]


async def test_the_next_turn_begins_with_the_last_ones_words_hidden_ones_too(desk):
    first = await desk.said()
    second = await desk.said(previous_response_id=first.frame.id, input="and?")

    third = await desk.begin(previous_response_id=second.frame.id, input=[])

    kinds = [(kind, role) for kind, role, _ in asked(third)]
    turn = [("message", "user"), ("message", "assistant"), ("reasoning", None)]
    assert kinds == turn * 2
    assert b"c2VjcmV0" in bytes(third.body["input"])


async def test_a_conversation_gains_each_turn_and_is_what_the_next_begins_with(desk):
    async with desk.shelf.engine.begin() as tx:
        made = await conversations.create(tx, desk.ann.user_id, {}, (), now=1.0)

    await desk.said(conversation=made.id, store=False)
    turn = await desk.begin(conversation={"id": made.id}, input="and?")

    assert [role for _, role, _ in asked(turn)] == ["user", "assistant", None, "user"]
    assert turn.previous is None


async def test_what_is_not_stored_cannot_be_continued(desk):
    turn = await desk.said(store=False)

    with pytest.raises(PreviousResponseNotFoundError):
        await desk.begin(previous_response_id=turn.frame.id)
    assert bytes(turn.body["input"]) == b'"hi"'  # and goes on as it came


@pytest.mark.parametrize("of", ["previous_response_id", "conversation"])
async def test_what_is_somebody_elses_is_not_there(desk, of):
    if of == "conversation":
        async with desk.shelf.engine.begin() as tx:
            id_ = (await conversations.create(tx, desk.bob.user_id, {}, (), now=1.0)).id
    else:
        id_ = (await desk.said(desk.bob)).frame.id

    with pytest.raises((PreviousResponseNotFoundError, ConversationNotFoundError)):
        await desk.begin(**{of: id_})


async def test_a_deleted_parent_is_told_by_its_name(desk):
    first = await desk.said()
    second = await desk.said(previous_response_id=first.frame.id)
    async with desk.shelf.engine.begin() as tx:
        await responses.delete(tx, desk.ann.user_id, first.frame.id)

    with pytest.raises(PreviousResponseNotFoundError, match=first.frame.id):
        await desk.begin(previous_response_id=second.frame.id)


async def test_an_item_of_the_history_may_stand_by_its_id(desk):
    first = await desk.said()
    again = [{"type": "item_reference", "id": "msg_a"}]

    turn = await desk.begin(previous_response_id=first.frame.id, input=again)

    assert asked(turn)[-1] == ("message", "assistant", "msg_a")
    with pytest.raises(ItemNotFoundError) as missing:
        await desk.begin(input=[{"type": "item_reference", "id": "msg_x"}])
    assert missing.value.param == "input[0].id"


async def test_a_turn_with_a_reference_is_continued_with_the_item_in_its_place(desk):
    first = await desk.said()
    again = [{"type": "item_reference", "id": "msg_a"}]
    second = await desk.said(previous_response_id=first.frame.id, input=again)

    third = await desk.begin(previous_response_id=second.frame.id)

    told = ["message", "message", "reasoning", "message", "message", "reasoning", "message"]
    assert [kind for kind, _, _ in asked(third)] == told


async def test_with_zero_retention_nothing_is_kept_or_continued(desk):
    caller = msgspec.structs.replace(desk.ann, keeps=False)

    turn = await desk.begin(caller, store=True)

    assert not turn.stores
    turn.frame.final = b"{}"
    assert not turn.due
    with pytest.raises(ZeroRetentionError):
        await desk.begin(caller, previous_response_id="resp_1")


async def test_a_conversation_deleted_meanwhile_costs_nobody_the_reply(desk):
    async with desk.shelf.engine.begin() as tx:
        made = await conversations.create(tx, desk.ann.user_id, {}, (), now=1.0)
    turn = await desk.begin(conversation=made.id)
    async with desk.shelf.engine.begin() as tx:
        await conversations.delete(tx, desk.ann.user_id, made.id)

    turn.frame.final, turn.frame.output = b"{}", b"[]"
    await turn.keep()

    assert not turn.due


async def test_with_both_a_turn_goes_on_from_the_response_and_is_appended(desk):
    async with desk.shelf.engine.begin() as tx:
        made = await conversations.create(tx, desk.ann.user_id, {}, (), now=1.0)
    first = await desk.said()

    both = {"previous_response_id": first.frame.id, "conversation": made.id}
    turn = await desk.said(**both, input="and?")

    assert [role for _, role, _ in asked(turn)] == ["user", "assistant", None, "user"]
    later = await desk.begin(conversation=made.id, input=[])
    assert [role for _, role, _ in asked(later)] == ["user", "assistant", None]


async def test_the_background_is_refused_where_nothing_is_kept(desk):
    with pytest.raises(BackgroundNotStoredError):
        await desk.begin(background=True, store=False)
    with pytest.raises(ZeroRetentionError) as refused:
        await desk.begin(msgspec.structs.replace(desk.ann, keeps=False), background=True)
    assert refused.value.param == "background"


async def test_a_turn_in_the_background_keeps_what_is_ours_apart(desk):
    turn = await desk.begin(background=True)

    assert turn.background
    assert "background" not in turn.body
    assert bytes(turn.state["background"]) == b"true"
    assert not (await desk.begin(background=None)).background


async def test_a_socket_makes_nothing_in_the_background(desk):
    body = decode_top(b'{"model":"m","input":"hi","background":true}')

    with pytest.raises(InvalidRequestError) as refused:
        await desk.turns.begin(body, desk.ann, lately=lambda _: None)

    assert refused.value.param == "background"
