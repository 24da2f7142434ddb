"""What is kept leads back to the account whose thoughts it holds."""

from contextlib import asynccontextmanager

import msgspec

from meterway.protocols.chat.envelopes import unlabel
from tests.factories.houses import INCLUDE, House, credential
from tests.factories.shelves import open_shelf

PATH = "POST /v1/responses"
MAKER = credential("a").maker


def ask(**more):
    return {"model": "gpt-5", "input": "Hi", **more}


@asynccontextmanager
async def opened(engine, *order):
    """A shelf before a fresh house, which asks its accounts in an order."""
    house = House()
    house.turn_to(*order)
    async with open_shelf(engine, house.relay) as kept:
        yield house, kept


async def test_a_stored_response_is_gone_on_with_by_its_account(sqlite):
    async with opened(sqlite, "a", "b") as (house, kept):
        first = await kept.told(PATH, ask())
        house.turn_to("b", "a")

        second = await kept.told(PATH, ask(previous_response_id=first["id"]))
        await kept.told(PATH, ask(previous_response_id=second["id"]))

        assert house.attempts() == ["a"]
        assert house.a.read() == [f"{house.a.secret}1", f"{house.a.secret}2"]
        assert "encrypted_content" not in msgspec.json.encode(first).decode()


async def test_it_is_known_after_a_restart_on_whichever_worker(sqlite):
    async with opened(sqlite, "a", "b") as (house, kept):
        first = await kept.told(PATH, ask())
        token = kept.ann

    async with opened(sqlite, "b", "a") as (house, kept):
        kept.ann = token
        await kept.told(PATH, ask(previous_response_id=first["id"]))

        assert house.attempts() == ["a"]
        assert house.a.read() == [f"{house.a.secret}1"]


async def test_a_conversation_is_gone_on_with_by_its_account(sqlite):
    async with opened(sqlite, "a", "b") as (house, kept):
        conversation = await kept.told("POST /v1/conversations", {})
        of_it = {"conversation": conversation["id"]}
        await kept.told(PATH, ask(**of_it))
        house.turn_to("b", "a")

        await kept.told(PATH, ask(**of_it))

        assert house.attempts() == ["a"]
        assert house.a.read() == [f"{house.a.secret}1"]


async def test_a_stored_response_is_gone_on_with_elsewhere_where_its_account_fails(sqlite):
    async with opened(sqlite, "a", "b") as (house, kept):
        first = await kept.told(PATH, ask())
        house.a.down = True

        second = await kept.told(PATH, ask(previous_response_id=first["id"]))
        house.a.down = False
        await kept.told(PATH, ask(previous_response_id=second["id"]))

        assert house.attempts() == ["b"]
        assert house.b.read() == [f"{house.b.secret}1"]
        assert house.a.refused == house.b.refused == 0


async def test_kept_items_are_listed_with_the_name_they_are_returned_with(sqlite):
    async with opened(sqlite, "a", "b") as (house, kept):
        first = await kept.told(PATH, ask(include=INCLUDE))
        second = await kept.told(PATH, ask(previous_response_id=first["id"]))

        path = f"GET /v1/responses/{second['id']}/input_items?include=reasoning.encrypted_content"
        items = (await kept.told(path))["data"]

        (thought,) = [item for item in items if item["type"] == "reasoning"]
        assert thought["encrypted_content"] == first["output"][0]["encrypted_content"]
        assert unlabel(thought["encrypted_content"]) == (MAKER, f"{house.a.secret}1")


async def test_another_users_response_leads_nowhere(sqlite):
    async with opened(sqlite, "a", "b") as (house, kept):
        first = await kept.told(PATH, ask(include=INCLUDE))

        by_id = await kept.ask(PATH, ask(previous_response_id=first["id"]), "bob")
        reference = [{"type": "item_reference", "id": first["output"][0]["id"]}]
        by_item = await kept.ask(PATH, ask(input=reference), "bob")

        assert (by_id.status, by_item.status) == (400, 404)
        assert len(house.a.asked) == 1
