"""Responses over real WebSockets and scripted upstreams, with `websockets` as the client."""

import asyncio
import json
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from meterway.auth.errors import DisabledKeyError
from meterway.edge.http import InFlight
from meterway.edge.openai.responses.create import PATH
from meterway.edge.openai.responses.recall import Recall
from meterway.edge.openai.responses.socket import ResponsesSocket, Sockets
from meterway.edge.openai.responses.turns import Turns
from meterway.edge.openai.shelf import Shelf
from meterway.edge.platform.envelope import Door
from meterway.edge.server import Route, Server
from meterway.edge.serving import Desk
from meterway.kit.ids import CallIds
from meterway.kit.tasks import Tasks
from meterway.ledger.budgets.errors import InsufficientBalanceError
from meterway.limits.errors import RateLimitedError
from meterway.limits.types import Standings
from meterway.relay.record import Outcome, Policy
from meterway.threads.types import Retention
from meterway.threads.writer import Writer
from tests.factories.relays import CALLER, Relay
from tests.fakes.clock import FakeClock
from tests.fakes.http_server import DEADLINE, serving
from tests.fakes.transport import stream

CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
END = b"data: [DONE]\n\n"


def says(text, finish=None, usage=None):
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    data = {**CHUNK, "choices": [choice], "usage": usage}
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def reply(text):
    return stream(says(text), says("", "stop", USAGE), END)


class Keys:
    """Knows one key, until it is revoked."""

    def __init__(self) -> None:
        self.caller = CALLER
        self.revoked = False

    def known(self, token):
        if self.revoked:
            raise DisabledKeyError("The key is disabled.")
        return self.caller


class Talk:
    """A client of one socket, and what is behind it."""

    def __init__(self, ws, server, relay, **behind) -> None:
        self.ws, self.server, self.relay = ws, server, relay
        self.keys, self.recall = behind["keys"], behind["recall"]
        self.in_flight = behind["in_flight"]

    async def send(self, **fields) -> None:
        await self.ws.send(json.dumps({"type": "response.create", "model": "m", **fields}))

    async def next(self):
        return json.loads(await asyncio.wait_for(self.ws.recv(), DEADLINE))

    async def events(self):
        """Return what comes up to the end of a response, or an error."""
        told: list[dict[str, Any]] = []
        while not told or told[-1]["type"] not in ENDS:
            told.append(await self.next())
        return told

    async def ask(self, **fields):
        await self.send(**fields)
        return await self.events()

    async def end(self):
        """Wait for the close frame; return its code and reason."""
        with pytest.raises(ConnectionClosed) as caught:
            await asyncio.wait_for(self.ws.recv(), DEADLINE)
        assert caught.value.rcvd is not None
        return caught.value.rcvd.code, caught.value.rcvd.reason

    def sent(self, number=-1):
        """Return a request as its upstream got it."""
        return json.loads(self.relay.transport.sent[number].body)


ENDS = {"response.completed", "response.failed", "response.incomplete", "error"}


@pytest.fixture
def shelf(sqlite):
    return Shelf(
        door=Door(authenticator=None, in_flight=InFlight(1), pace=None),  # type: ignore[arg-type]  # nobody comes through it
        engine=sqlite,
        writer=Writer(sqlite),
        clock=FakeClock(),
        retention=Retention(30),
        body_limit=1 << 20,
    )


@asynccontextmanager
async def talking(shelf, *answers, offered=True, limit=1 << 16, drain=5.0, **facts):
    relay, keys, recall, in_flight = Relay(*answers), Keys(), Recall(), InFlight(1 << 20)
    keys.caller = facts.get("caller", CALLER)
    ids, tasks = CallIds(1), Tasks()
    desk = Desk(
        authenticator=keys,  # type: ignore[arg-type]  # what is asked of it
        gate=relay.gate,
        in_flight=in_flight,
        tasks=tasks,
        body_limit=1 << 20,
        drain_seconds=drain,
    )
    shared = Sockets(ids=ids, recall=recall, limit=limit, offered=offered)
    handler = ResponsesSocket(desk, Turns(shelf), shared)
    async with serving(Server([Route("GET", PATH, handler)], ids)) as server:
        headers = {"OpenAI-Beta": "responses_websockets=2026-02-06"}
        if facts.get("key", "k"):
            headers["Authorization"] = "Bearer k"
        address = f"ws://127.0.0.1:{server.port}{facts.get('path', PATH)}"
        async with connect(address, proxy=None, additional_headers=headers) as ws:
            yield Talk(ws, server, relay, keys=keys, recall=recall, in_flight=in_flight)
    await shelf.writer.close()
    await shelf.door.close()


# -- a response ----------------------------------------------------------------------------------


async def test_events_are_those_of_the_stream_one_a_message(shelf):
    async with talking(shelf, reply("hello")) as talk:
        told = await talk.ask(input="hi", store=False)

        assert [event["type"] for event in told] == [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
        assert [event["sequence_number"] for event in told] == list(range(len(told)))
        whole = told[-1]["response"]
        assert whole["output"][0]["content"][0]["text"] == "hello"
        assert (whole["store"], whole["usage"]["total_tokens"]) == (False, 5)
        assert "type" not in talk.sent()
        assert talk.sent()["stream"] is True
        assert talk.in_flight.held == 0
        assert [record.outcome for record in talk.relay.records] == [Outcome.COMPLETED]


async def test_each_response_is_a_call_of_its_own(shelf):
    async with talking(shelf, reply("one"), reply("two")) as talk:
        first = await talk.ask(input="hi", store=False)
        second = await talk.ask(input="hi again", store=False)

        assert first[-1]["response"]["id"] != second[-1]["response"]["id"]
        assert len({record.call_id for record in talk.relay.records}) == 2


async def test_the_name_of_what_is_asked_is_repeated(shelf):
    async with talking(shelf, reply("one")) as talk:
        told = await talk.ask(input="hi", store=False, stream_id="main")
        wrong = await talk.ask(input="hi", store=False, stream_id="main", background=True)

        assert {event["stream_id"] for event in (*told, *wrong)} == {"main"}


async def test_the_default_model_of_a_key_answers(shelf):
    caller = msgspec.structs.replace(CALLER, default_model="m")
    async with talking(shelf, reply("one"), caller=caller) as talk:
        await talk.ws.send('{"type":"response.create","input":"hi","store":false}')

        assert (await talk.events())[-1]["response"]["model"] == "m"


# -- what was said before ------------------------------------------------------------------------


def texts(items):
    return [message["content"] for message in items]


async def test_a_response_that_was_not_stored_can_be_continued_on_its_socket(shelf):
    async with talking(shelf, reply("one"), reply("two"), reply("three")) as talk:
        first = (await talk.ask(input="a", store=False))[-1]["response"]
        second = (await talk.ask(input="b", store=False, previous_response_id=first["id"]))[-1]
        await talk.ask(input="c", store=False, previous_response_id=second["response"]["id"])

        assert texts(talk.sent()["messages"]) == ["a", "one", "b", "two", "c"]
        assert second["response"]["previous_response_id"] == first["id"]


async def test_on_another_socket_it_is_not_found(shelf):
    async with talking(shelf, reply("one")) as talk:
        first = (await talk.ask(input="a", store=False))[-1]["response"]
        assert talk.recall.held > 0
    async with talking(shelf) as other:
        (error,) = await other.ask(input="b", previous_response_id=first["id"])

        assert (error["status"], error["error"]["code"]) == (400, "previous_response_not_found")
        assert error["error"]["param"] == "previous_response_id"
        assert talk.recall.held == 0


async def test_one_that_was_stored_is_continued_from_any(shelf):
    async with talking(shelf, reply("one")) as talk:
        first = (await talk.ask(input="a"))[-1]["response"]
        assert talk.recall.held == 0
    async with talking(shelf, reply("two"), reply("three")) as other:
        second = await other.ask(input="b", store=False, previous_response_id=first["id"])
        await other.ask(input="c", store=False, previous_response_id=second[-1]["response"]["id"])

        assert texts(other.sent()["messages"]) == ["a", "one", "b", "two", "c"]


async def test_what_goes_on_from_what_is_only_remembered_is_stored_whole(shelf):
    async with talking(shelf, reply("one"), reply("two")) as talk:
        first = (await talk.ask(input="a", store=False))[-1]["response"]
        second = (await talk.ask(input="b", previous_response_id=first["id"]))[-1]["response"]
    async with talking(shelf, reply("three")) as other:
        await other.ask(input="c", previous_response_id=second["id"])

        assert texts(other.sent()["messages"]) == ["a", "one", "b", "two", "c"]


async def test_with_zero_retention_a_socket_remembers_all_the_same(shelf):
    caller = msgspec.structs.replace(CALLER, keeps=False)
    async with talking(shelf, reply("one"), reply("two"), caller=caller) as talk:
        first = (await talk.ask(input="a"))[-1]["response"]
        await talk.ask(input="b", previous_response_id=first["id"])
        (error,) = await talk.ask(input="b", previous_response_id="resp_unknown")

        assert texts(talk.sent()["messages"]) == ["a", "one", "b"]
        assert error["error"]["code"] == "previous_response_not_found"


async def test_a_response_is_prepared_without_an_upstream_and_continued(shelf):
    async with talking(shelf, reply("one")) as talk:
        told = await talk.ask(
            input=[{"role": "developer", "content": "be brief"}], store=False, generate=False
        )
        assert [event["type"] for event in told] == [
            "response.created",
            "response.in_progress",
            "response.completed",
        ]
        prepared = told[-1]["response"]
        assert (prepared["status"], prepared["output"]) == ("completed", [])
        assert prepared["usage"]["total_tokens"] == 0
        assert talk.relay.transport.sent == talk.relay.records == []

        await talk.ask(input="a", store=False, previous_response_id=prepared["id"])

        assert texts(talk.sent()["messages"]) == ["be brief", "a"]


# -- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", "invalid_request"),
        ("[]", "invalid_request"),
        ('{"type":"response.steer"}', "unknown_event_type"),
        ('{"type":"response.create","model":"m","input":7}', "invalid_request"),
        ('{"type":"response.create","input":"hi"}', "invalid_request"),
        ('{"type":"response.create","model":"m","input":7,"generate":false}', "invalid_request"),
    ],
)
async def test_what_cannot_be_served_is_an_error_and_the_socket_lives(shelf, message, code):
    async with talking(shelf, reply("one")) as talk:
        await talk.ws.send(message)

        (error,) = await talk.events()
        assert (error["type"], error["status"], error["error"]["code"]) == ("error", 400, code)
        assert (await talk.ask(input="hi", store=False))[-1]["type"] == "response.completed"
        assert talk.in_flight.held == 0


async def test_that_a_response_was_read_is_taken_without_a_word(shelf):
    async with talking(shelf, reply("one")) as talk:
        await talk.ws.send('{"type":"response.processed","response_id":"resp_1"}')

        assert (await talk.ask(input="hi", store=False))[0]["type"] == "response.created"


async def test_a_limit_is_an_error_that_says_when_to_come_back(shelf):
    async with talking(shelf, reply("one")) as talk:
        admit = talk.relay.gate.limits

        async def refuse(*_):
            talk.relay.gate.limits = admit
            raise RateLimitedError("Slow down.", retry_after=3, standings=Standings(at=0))

        talk.relay.gate.limits = SimpleNamespace(admit=refuse)

        (error,) = await talk.ask(input="hi", store=False)

        assert (error["status"], error["error"]["code"]) == (429, "rate_limit_exceeded")
        assert error["headers"]["retry-after"] == error["error"]["headers"]["retry-after"] == "3"
        assert (await talk.ask(input="hi", store=False))[-1]["type"] == "response.completed"


async def test_an_empty_balance_is_a_failed_response(shelf):
    async with talking(shelf, InsufficientBalanceError("Top up.")) as talk:
        (failed,) = await talk.ask(input="hi", store=False)

        assert failed["type"] == "response.failed"
        assert failed["response"]["error"]["code"] == "insufficient_quota"
        assert talk.recall.held == 0


async def test_a_key_that_was_revoked_closes_the_socket(shelf):
    async with talking(shelf, reply("one")) as talk:
        await talk.ask(input="hi", store=False)
        talk.keys.revoked = True

        await talk.send(input="hi", store=False)

        error = await talk.next()
        assert (error["status"], error["type"]) == (401, "error")
        assert await talk.end() == (1008, "The API key is not valid any more.")
        assert len(talk.relay.records) == 1


@pytest.mark.parametrize(
    ("facts", "status"),
    [({"key": ""}, 401), ({"path": "/v1/nothing"}, 404), ({"offered": False}, 426)],
)
async def test_a_refused_handshake_is_an_answer_of_http_in_openai_s_shape(shelf, facts, status):
    with pytest.raises(InvalidStatus) as caught:
        async with talking(shelf, **facts):
            pass

    assert caught.value.response.status_code == status
    assert json.loads(caught.value.response.body)["error"]["message"]


async def test_a_message_that_is_too_large_closes_with_1009(shelf):
    async with talking(shelf, limit=1000) as talk:
        await talk.send(input="x" * 1000)

        assert (await talk.end())[0] == 1009


# -- many at once, and clients who leave ---------------------------------------------------------


class Slow:
    """An upstream that waits in the middle of its answer."""

    def __init__(self) -> None:
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    async def wait(self) -> None:
        self.begun.set()
        await self.go_on.wait()

    def reply(self, text):
        return stream(says(text), self.wait, says(" end"), says("", "stop", USAGE), END)


async def test_a_second_response_waits_for_the_first(shelf):
    slow = Slow()
    async with talking(shelf, slow.reply("one"), reply("two")) as talk:
        await talk.send(input="a", store=False)
        await slow.begun.wait()
        await talk.send(input="b", store=False)
        slow.go_on.set()

        first, second = await talk.events(), await talk.events()

        assert first[-1]["response"]["output"][0]["content"][0]["text"] == "one end"
        assert second[-1]["response"]["output"][0]["content"][0]["text"] == "two"
        assert {event["response"]["id"] for event in first if "response" in event} == {
            first[0]["response"]["id"]
        }


async def test_a_client_who_leaves_is_read_on_for_and_settled_once(shelf):
    slow = Slow()
    async with talking(shelf, slow.reply("one")) as talk:
        await talk.send(input="a", store=False)
        await slow.begun.wait()
        await talk.ws.close()
        slow.go_on.set()
        await _quiet(talk.server)

        (record,) = talk.relay.records
        assert (record.outcome, record.policy) == (Outcome.CLIENT_GONE, Policy.DRAINED)
        assert record.usage is not None
        assert record.usage.output == 2
        assert talk.recall.held == 0


async def test_a_client_who_leaves_is_cut_after_a_while(shelf):
    slow = Slow()
    async with talking(shelf, slow.reply("one"), drain=0.01) as talk:
        await talk.send(input="a", store=False)
        await slow.begun.wait()
        await talk.ws.close()
        await _quiet(talk.server)

        (record,) = talk.relay.records
        assert (record.outcome, record.policy) == (Outcome.CLIENT_GONE, Policy.CUT)


async def test_at_the_end_of_the_server_the_response_under_way_is_finished(shelf):
    slow = Slow()
    async with talking(shelf, slow.reply("one")) as talk:
        await talk.send(input="a", store=False)
        await slow.begun.wait()
        for connection in list(talk.server.state.connections):
            connection.shutdown()
        slow.go_on.set()

        assert (await talk.events())[-1]["type"] == "response.completed"
        assert (await talk.end())[0] == 1001


async def _quiet(server) -> None:
    async with asyncio.timeout(DEADLINE):
        while server.state.tasks:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0)
