"""`Idempotency-Key` on real sockets: whatever is repeated, whenever, runs once."""

import asyncio
import gzip
import json
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from meterway.auth.errors import InvalidKeyError
from meterway.auth.types import Principal
from meterway.db.engine import transaction
from meterway.edge.anthropic import messages
from meterway.edge.http import InFlight, request_of, send_reply
from meterway.edge.idempotency import Idempotence, Idempotent
from meterway.edge.openai import chat
from meterway.edge.server import Route, Server
from meterway.edge.serving import Desk
from meterway.idempotency import service
from meterway.idempotency.keeper import Keeper
from meterway.idempotency.types import Fate, Holder
from meterway.kit.crypto import Box
from meterway.kit.errors import InvalidRequestError
from meterway.kit.ids import CallIds
from meterway.kit.tasks import Tasks
from meterway.protocols.chat.anthropic_messages import ANTHROPIC_MESSAGES
from meterway.protocols.chat.openai_chat import OPENAI_CHAT
from meterway.relay.record import Outcome
from tests.factories.relays import ANTHROPIC, CALLER, Relay, channel
from tests.fakes.clock import FakeClock
from tests.fakes.http_server import DEADLINE, Answer, Client, serving
from tests.fakes.transport import stream, whole

BOX = Box([b"s" * 32])
ASK = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
REPLY = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "secret"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
DONE = b"data: [DONE]\n\n"


def piece(content: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: " + json.dumps({**chunk, "choices": [choice]}).encode() + b"\n\n"


class Keys:
    """Knows the keys `k1` and `k2`, each of another user, and no other."""

    def known(self, token: str) -> Principal:
        if token not in {"k1", "k2"}:
            raise InvalidKeyError("Incorrect.")
        return msgspec.structs.replace(CALLER, user_id=int(token[1:]))


@dataclass
class Place:
    """A worker whose parts a test can look at; `restarted` is another on the same database."""

    engine: AsyncEngine
    relay: Relay
    keeper: Keeper
    shared: Idempotence
    app: Server
    clock: FakeClock

    async def rows(self) -> int:
        async with transaction(self.engine) as tx:
            found = await tx.execute(text("SELECT count(*) FROM repeatable_replies"))
            return int(found.scalar_one())

    def settled(self) -> bool:
        """Whether no byte is held any more."""
        return not (self.shared.recorded.held or self.shared.desk.in_flight.held)


def place_of(
    engine, *answers, clock=None, process="one", handler=None, drain_seconds=0.0, **facts
) -> Place:
    relay = Relay(*answers, channels=facts.pop("channels", None))
    clock = clock or FakeClock(patient=True)
    desk = Desk(
        authenticator=Keys(),  # type: ignore[arg-type]  # what a marked call asks of it
        gate=relay.gate,
        in_flight=InFlight(1 << 20),
        tasks=Tasks(),
        body_limit=1 << 20,
        drain_seconds=drain_seconds,
    )
    keeper = Keeper(engine, clock, lambda: BOX, process)
    facts.setdefault("fate_of", service.never_free)
    shared = Idempotence(desk=desk, keeper=keeper, **facts)
    routes = [
        Route("POST", chat.PATH, Idempotent(handler or chat.endpoint(desk), shared, OPENAI_CHAT)),
        Route(
            "POST", messages.PATH, Idempotent(messages.endpoint(desk), shared, ANTHROPIC_MESSAGES)
        ),
    ]
    return Place(engine, relay, keeper, shared, Server(routes, CallIds(1)), clock)


@pytest.fixture
async def new_place(engine):
    made: list[Place] = []

    def make(*answers, **facts) -> Place:
        made.append(place_of(engine, *answers, **facts))
        return made[-1]

    yield make
    for place in made:
        await place.keeper.close()


def request(body=ASK, *, name="n-1", key="k1", path=chat.PATH, **headers) -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {"authorization": f"Bearer {key}", "content-length": str(len(raw)), **headers}
    if name is not None:
        lines["idempotency-key"] = name
    head = "".join(f"{field.replace('_', '-')}: {value}\r\n" for field, value in lines.items())
    return f"POST {path} HTTP/1.1\r\nhost: x\r\n{head}\r\n".encode() + raw


async def read(client: Client) -> Answer:
    """Read an answer, whole or chunked."""
    answer = await client.answer()
    if answer.headers.get("transfer-encoding") == "chunked":
        raw = await asyncio.wait_for(client.reader.readuntil(b"\r\n0\r\n\r\n"), DEADLINE)
        answer.body = b"".join(re.split(rb"(?:^|\r\n)[0-9a-f]+\r\n", raw))[: -len(b"\r\n")]
    return answer


@asynccontextmanager
async def open_at(place: Place):
    """Give a function that asks and reads the answer."""
    async with serving(place.app) as server:
        client = await server.connect()

        async def ask(data: bytes) -> Answer:
            await client.send(data)
            return await read(client)

        yield ask


async def until(holds) -> None:
    async with asyncio.timeout(DEADLINE):
        while not holds():  # noqa: ASYNC110 - what is awaited has no event
            await asyncio.sleep(0)


# -- the same result ---------------------------------------------------------------------------


async def test_a_repeat_of_a_whole_reply_gets_the_same_and_runs_nothing(new_place):
    place = new_place(whole(REPLY))
    async with open_at(place) as ask:
        first = await ask(request())
        second = await ask(request())

    assert (second.status, second.body) == (200, first.body)
    assert second.headers["content-type"] == "application/json"
    assert second.headers["x-meterway-provider"] == "openai-row"
    assert second.headers["idempotent-replayed"] == "true"
    assert second.headers["original-request"] == first.headers["x-request-id"]
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    assert "idempotent-replayed" not in first.headers
    assert len(place.relay.transport.sent) == len(place.relay.records) == 1
    assert place.settled()


async def test_a_repeat_of_a_stream_gets_the_same_bytes(new_place):
    place = new_place(stream(piece("a"), piece("b"), piece("", "stop"), DONE))
    async with open_at(place) as ask:
        first = await ask(request({**ASK, "stream": True}))
        second = await ask(request({**ASK, "stream": True}))

    assert first.headers["transfer-encoding"] == "chunked"
    assert second.body == first.body
    assert second.body.endswith(DONE)
    assert second.headers["content-type"].startswith("text/event-stream")
    assert second.headers["cache-control"] == "no-cache"
    assert len(place.relay.records) == 1


async def test_without_the_header_nothing_is_written_and_all_run(new_place):
    place = new_place(whole(REPLY), whole(REPLY))
    async with open_at(place) as ask:
        await ask(request(name=None))
        await ask(request(name=None))

    assert len(place.relay.records) == 2
    assert await place.rows() == 0


async def test_a_reply_survives_a_restart(new_place):
    async with open_at(new_place(whole(REPLY))) as ask:
        first = await ask(request())
    restarted = new_place(process="two")

    async with open_at(restarted) as ask:
        second = await ask(request())

    assert second.body == first.body
    assert restarted.relay.transport.sent == []


async def test_the_same_request_written_otherwise_is_the_same(new_place):
    place = new_place(whole(REPLY))
    raw = json.dumps(ASK).encode()
    chunked = request(b"%x\r\n%b\r\n0\r\n\r\n" % (len(raw), raw), transfer_encoding="chunked")
    chunked = re.sub(rb"content-length: \d+\r\n", b"", chunked)
    async with open_at(place) as ask:
        packed = await ask(request(gzip.compress(raw), content_encoding="gzip"))
        plain = await ask(request(raw, path="/openai/v1/chat/completions/"))
        pieces = await ask(chunked)

    assert packed.status == 200
    assert plain.body == pieces.body == packed.body
    assert len(place.relay.records) == 1
    assert place.settled()


async def test_a_body_counts_once_while_it_is_held(new_place):
    place = new_place(whole(REPLY))
    place.shared.desk.in_flight.limit = len(json.dumps(ASK))

    async with open_at(place) as ask:
        answer = await ask(request())

    assert answer.status == 200


async def test_an_answer_to_a_browser_is_made_for_its_own_origin(new_place):
    place = new_place(whole(REPLY))
    async with open_at(place) as ask:
        await ask(request(origin="https://a.example"))
        plain = await ask(request())
        other = await ask(request(origin="https://b.example"))

    assert "access-control-allow-origin" not in plain.headers
    assert other.headers["access-control-allow-origin"] == "*"
    assert "idempotent-replayed" in other.headers["access-control-expose-headers"]


# -- errors ------------------------------------------------------------------------------------


def says_no(status: int):
    return whole({"error": {"message": "No.", "type": "t", "code": None}}, status)


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_a_vendors_refusal_is_a_result(new_place, status):
    place = new_place(says_no(status))
    async with open_at(place) as ask:
        first = await ask(request())
        second = await ask(request())

    assert first.status == second.status >= 400
    assert second.body == first.body
    assert len(place.relay.transport.sent) == 1


@pytest.mark.parametrize("status", [401, 402])
async def test_a_passing_fault_leaves_the_key_free(new_place, status):
    place = new_place(says_no(status), whole(REPLY))
    async with open_at(place) as ask:
        first = await ask(request())
        place.relay.clock.advance(3600)
        second = await ask(request())

    assert first.status == 503
    assert second.status == 200
    assert "idempotent-replayed" not in second.headers


async def test_a_refusal_before_anything_ran_leaves_the_key_free(new_place):
    place = new_place(whole(REPLY))
    async with open_at(place) as ask:
        first = await ask(request({"messages": []}))
        second = await ask(request())

    assert (first.status, second.status) == (400, 200)
    assert place.settled()


async def crash(scope, receive, send) -> None:
    raise RuntimeError("who knows what was done before")


async def test_a_fault_whose_effect_is_unknown_is_a_result(new_place):
    place = new_place(handler=crash)
    async with open_at(place) as ask:
        first = await ask(request())
        second = await ask(request())

    assert first.status == second.status == 500
    assert second.body == first.body
    assert second.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize(
    ("status", "kept"),
    [(201, True), (404, True), (500, True), (409, False), (429, False), (503, False)],
)
async def test_what_a_handler_answers_is_kept_unless_it_passes(new_place, status, kept):
    calls = []

    async def handler(scope, receive, send) -> None:
        calls.append(await receive())
        await send_reply(send, status, request_of(scope).head, b"%d" % len(calls))

    async with open_at(new_place(handler=handler)) as ask:
        answers = [await ask(request()) for _ in range(2)]

    assert [answer.status for answer in answers] == [status, status]
    assert answers[1].body == (b"1" if kept else b"2")
    assert calls[0] == {
        "type": "http.request",
        "body": json.dumps(ASK).encode(),
        "more_body": False,
    }


async def test_another_body_is_a_conflict_that_clients_do_not_retry(new_place):
    place = new_place(whole(REPLY))
    async with open_at(place) as ask:
        await ask(request())
        answer = await ask(request({**ASK, "n": 1}))

    assert answer.status == 409
    assert answer.json()["error"]["code"] == "idempotency_key_reused"
    assert answer.headers["x-should-retry"] == "false"
    assert len(place.relay.transport.sent) == 1


@pytest.mark.parametrize("name", ["", "x" * 256, "a\tb", "\xe9"])
async def test_a_key_that_cannot_be_one_is_refused(new_place, name):
    place = new_place()
    async with open_at(place) as ask:
        answer = await ask(request(name=name))

    assert answer.status == 400
    assert answer.json()["error"]["code"] == "bad_idempotency_key"
    assert place.settled()


async def test_who_is_nobody_writes_nothing(new_place):
    place = new_place()
    async with open_at(place) as ask:
        answer = await ask(request(key="stranger"))

    assert answer.status == 401
    assert await place.rows() == 0


async def test_a_key_belongs_to_one_user(new_place):
    place = new_place(whole(REPLY), whole({**REPLY, "id": "theirs"}))
    async with open_at(place) as ask:
        mine = await ask(request())
        theirs = await ask(request(key="k2"))

    assert mine.json()["id"] == "c"
    assert theirs.json()["id"] == "theirs"
    assert len(place.relay.records) == 2


async def test_another_route_is_another_request(new_place):
    body = {**ASK, "max_tokens": 1}
    async with open_at(new_place(whole(REPLY))) as ask:
        await ask(request(body))
        answer = await ask(request(body, path=messages.PATH))

    assert answer.status == 409
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_a_reply_is_kept_before_its_last_byte_leaves(new_place):
    place, kept = new_place(whole(REPLY)), []

    async def app(scope, receive, send) -> None:
        async def watched(message) -> None:
            if message["type"] == "http.response.body":
                async with transaction(place.engine) as tx:
                    query = text("SELECT count(*) FROM repeatable_replies WHERE reply IS NOT NULL")
                    kept.append((await tx.execute(query)).scalar_one())
            await send(message)

        await place.app(scope, receive, watched)

    async with serving(app) as server:
        await (await server.connect()).ask(request())

    assert kept == [1]


# -- at the same time --------------------------------------------------------------------------


async def test_of_many_at_once_one_runs_and_the_others_come_back(new_place):
    gate = asyncio.Event()
    place = new_place(stream(piece("a"), gate.wait, piece("", "stop"), DONE))
    data = request({**ASK, "stream": True})
    async with serving(place.app) as server:
        first, *others = [await server.connect() for _ in range(10)]
        await first.send(data)
        await until(lambda: place.relay.transport.sent)
        early = await asyncio.gather(*(client.ask(data) for client in others))
        gate.set()
        reply = await read(first)
        await others[0].send(data)
        late = await read(others[0])

    assert {answer.status for answer in early} == {409}
    assert {answer.json()["error"]["code"] for answer in early} == {"idempotency_key_in_use"}
    assert {answer.headers["retry-after"] for answer in early} == {"1"}
    assert {answer.headers["x-should-retry"] for answer in early} == {"true"}
    assert late.body == reply.body
    assert len(place.relay.transport.sent) == len(place.relay.records) == 1


async def test_of_many_that_begin_together_one_runs(new_place):
    place = new_place(whole(REPLY))
    async with serving(place.app) as server:
        clients = [await server.connect() for _ in range(10)]
        answers = await asyncio.gather(*(client.ask(request()) for client in clients))

    assert 200 in {answer.status for answer in answers}
    assert {answer.status for answer in answers} <= {200, 409}
    assert len(place.relay.transport.sent) == len(place.relay.records) == 1


# -- a process that died -----------------------------------------------------------------------


async def abandoned(place: Place) -> None:
    """Leave the claim of a process that died while it served."""
    asked = service.asked(1, b"n-1", "POST", chat.PATH, json.dumps(ASK).encode())
    now = place.clock.now()
    async with transaction(place.engine) as tx:
        held = service.claim_of(asked, Holder("dead", 7), now)
        assert await service.claim(tx, asked, held, service.never_free, now) is None


async def test_what_a_dead_process_may_have_charged_never_runs_again(new_place):
    place = new_place()
    await abandoned(place)
    async with open_at(place) as ask:
        soon = await ask(request())
        place.clock.advance(service.LEASE_SECONDS)
        later = await ask(request())

    assert soon.json()["error"]["code"] == "idempotency_key_in_use"
    assert later.status == 409
    assert later.json()["error"]["code"] == "idempotency_reply_not_kept"
    assert later.headers["x-should-retry"] == "false"
    assert place.relay.transport.sent == []


async def test_what_a_dead_process_certainly_did_not_charge_runs_again(new_place):
    async def fate_of(tx, holder):
        return Fate.FREE if holder == Holder("dead", 7) else Fate.UNKNOWN

    place = new_place(whole(REPLY), fate_of=fate_of)
    await abandoned(place)
    place.clock.advance(service.LEASE_SECONDS)
    async with open_at(place) as ask:
        answers = [await ask(request()) for _ in range(2)]

    assert [answer.status for answer in answers] == [200, 200]
    assert len(place.relay.records) == 1


async def test_after_a_day_a_key_is_new(new_place):
    place = new_place(whole(REPLY), whole({**REPLY, "id": "new"}))
    async with open_at(place) as ask:
        await ask(request())
        place.clock.advance(service.KEPT_SECONDS - 1)
        before = await ask(request())
        place.clock.advance(1)
        after = await ask(request())

    assert (before.json()["id"], after.json()["id"]) == ("c", "new")


# -- what cannot be kept -----------------------------------------------------------------------


@pytest.mark.parametrize("room", [{"reply_limit": 100}, {"recorded": InFlight(100)}])
@pytest.mark.parametrize("streams", [False, True])
async def test_a_reply_too_large_to_keep_is_told_once_and_refused_then(new_place, room, streams):
    answer = stream(piece("a" * 99), piece("", "stop"), DONE) if streams else whole(REPLY)
    place = new_place(answer, **room)
    data = request({**ASK, "stream": streams})
    async with open_at(place) as ask:
        first = await ask(data)
        second = await ask(data)

    assert first.status == 200
    assert first.body.endswith(DONE) or first.json()["id"] == "c"
    assert second.status == 409
    assert "too large" in second.json()["error"]["message"]
    assert first.headers["x-request-id"] in second.json()["error"]["message"]
    assert len(place.relay.records) == 1
    assert place.settled()


async def test_a_changed_row_shows_nothing_and_runs_nothing(new_place):
    place = new_place(whole(REPLY))
    async with open_at(place) as ask:
        await ask(request())
        async with transaction(place.engine) as tx:
            await tx.execute(text("UPDATE repeatable_replies SET reply = :x"), {"x": b"b1.x.y"})
        answer = await ask(request())

    assert answer.status == 500
    assert answer.json()["error"]["code"] == "idempotency_reply_unreadable"
    assert b"secret" not in answer.body
    assert len(place.relay.transport.sent) == 1


async def test_a_database_that_fails_is_503_and_runs_nothing(new_place):
    place = new_place()
    async with transaction(place.engine) as tx:
        await tx.execute(text("DROP TABLE repeatable_replies"))
    async with open_at(place) as ask:
        answer = await ask(request())

    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    assert place.relay.transport.sent == []
    assert place.settled()


async def test_a_database_that_fails_at_the_end_costs_no_reply(new_place):
    place: Place

    async def drop() -> None:
        async with transaction(place.engine) as tx:
            await tx.execute(text("DROP TABLE repeatable_replies"))

    place = new_place(stream(piece("a"), drop, piece("", "stop"), DONE))
    async with open_at(place) as ask:
        answer = await ask(request({**ASK, "stream": True}))

    assert answer.status == 200
    assert answer.body.endswith(DONE)


# -- a client who leaves -----------------------------------------------------------------------


async def test_who_left_a_stream_finds_all_of_it(new_place):
    gate = asyncio.Event()
    place = new_place(stream(piece("a"), gate.wait, piece("b"), piece("", "stop"), DONE))
    data = request({**ASK, "stream": True})
    async with serving(place.app) as server:
        client = await server.connect()
        await client.send(data)
        await asyncio.wait_for(client.reader.readuntil(b'"a"'), DEADLINE)
        client.leave()
        await until(lambda: not server.state.connections)
        gate.set()
        await until(lambda: not server.state.tasks)

        again = await server.connect()
        await again.send(data)
        answer = await read(again)

    assert b'"b"' in answer.body
    assert answer.body.endswith(DONE)
    assert [record.outcome for record in place.relay.records] == [Outcome.COMPLETED]
    assert place.settled()


async def test_who_left_a_whole_reply_finds_it(new_place):
    gate = asyncio.Event()
    answer = whole(REPLY)
    answer._chunks.insert(0, gate.wait)
    place = new_place(answer)
    async with serving(place.app) as server:
        client = await server.connect()
        await client.send(request())
        await until(lambda: place.relay.transport.sent)
        client.leave()
        await until(lambda: not server.state.connections)
        gate.set()
        await until(lambda: not server.state.tasks)

        found = await (await server.connect()).ask(request())

    assert found.json()["id"] == "c"
    assert len(place.relay.transport.sent) == 1


MESSAGE_START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message",'
    b'"role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,'
    b'"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
)
CUT = {
    chat.PATH: (piece("a"), b'"a"', b'data: {"error":'),
    messages.PATH: (MESSAGE_START, b"message_start", b"event: error\ndata: "),
}


@pytest.mark.parametrize("path", [chat.PATH, messages.PATH])
async def test_who_left_a_stream_for_too_long_finds_what_came_and_that_it_was_cut(new_place, path):
    chunk, begun, failure = CUT[path]
    upstream = stream(chunk, asyncio.Event().wait)
    channels = [channel(provider=ANTHROPIC)] if path == messages.PATH else None
    place = new_place(upstream, channels=channels, finish_seconds=0)
    data = request({**ASK, "stream": True, "max_tokens": 9}, path=path)
    async with serving(place.app) as server:
        client = await server.connect()
        await client.send(data)
        await asyncio.wait_for(client.reader.readuntil(begun), DEADLINE)
        client.leave()
        await until(lambda: not server.state.tasks)

        answers = [await (await server.connect()).ask(data) for _ in range(2)]

    assert answers[0].status == 200
    assert begun in answers[0].body
    assert failure in answers[0].body
    assert b"Send a new key" in answers[0].body
    assert answers[1].body == answers[0].body
    assert [record.outcome for record in place.relay.records] == [Outcome.CLIENT_GONE]
    assert len(place.relay.transport.sent) == 1
    assert upstream.closed
    assert place.settled()


async def test_a_stream_that_ended_unheard_is_not_shown_as_whole(new_place):
    gate = asyncio.Event()
    upstream = stream(piece("a"), gate.wait, piece("b"), piece("", "stop"), DONE)
    place = new_place(upstream, finish_seconds=0, drain_seconds=60)
    data = request({**ASK, "stream": True})
    async with serving(place.app) as server:
        client = await server.connect()
        await client.send(data)
        await asyncio.wait_for(client.reader.readuntil(b'"a"'), DEADLINE)
        client.leave()
        await until(lambda: not server.state.connections)
        for _ in range(3):  # the timer of no seconds runs, and the handler hears of it
            await asyncio.sleep(0)
        gate.set()
        await until(lambda: not server.state.tasks)

        answer = await (await server.connect()).ask(data)

    assert b'"a"' in answer.body
    assert b'"b"' not in answer.body
    assert b'data: {"error":' in answer.body
    assert [record.outcome for record in place.relay.records] == [Outcome.CLIENT_GONE]


async def break_within_an_event(scope, receive, send) -> None:
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"data: 1\n\ndata: ha", "more_body": True})
    raise InvalidRequestError("Too late.")


async def test_a_cut_stream_repeats_whole_events_alone(new_place):
    place = new_place(handler=break_within_an_event)
    async with serving(place.app) as server:
        first = await server.connect()
        await first.send(request())
        await first.closed()
        answer = await (await server.connect()).ask(request())

    assert answer.body.startswith(b'data: 1\n\ndata: {"error":')
    assert b"ha" not in answer.body[:20]


async def test_who_left_a_whole_reply_for_too_long_is_not_served_twice(new_place):
    answer = whole(REPLY)
    answer._chunks.insert(0, asyncio.Event().wait)
    place = new_place(answer, finish_seconds=0)
    async with serving(place.app) as server:
        client = await server.connect()
        await client.send(request())
        await until(lambda: place.relay.transport.sent)
        client.leave()
        await until(lambda: not server.state.tasks)

        found = await (await server.connect()).ask(request())

    assert found.status == 409
    assert found.json()["error"]["code"] == "idempotency_reply_not_kept"
    assert len(place.relay.transport.sent) == 1
    assert place.settled()


async def test_a_stream_its_upstream_cut_is_a_result(new_place):
    place = new_place(stream(piece("a")))
    data = request({**ASK, "stream": True})
    async with open_at(place) as ask:
        first = await ask(data)
        second = await ask(data)

    assert b'"error"' in first.body
    assert second.body == first.body
    assert [record.outcome for record in place.relay.records] == [Outcome.UPSTREAM_CUT]


async def test_a_server_that_stops_in_the_middle_runs_nothing_twice(new_place):
    place = new_place(stream(piece("a"), asyncio.Event().wait))
    data = request({**ASK, "stream": True})
    async with serving(place.app) as server:
        client = await server.connect()
        await client.send(data)
        await asyncio.wait_for(client.reader.readuntil(b'"a"'), DEADLINE)
    await place.keeper.close()
    restarted = new_place(process="two")

    async with open_at(restarted) as ask:
        answer = await ask(data)

    assert b'"a"' in answer.body
    assert b'data: {"error":' in answer.body
    assert restarted.relay.transport.sent == []


async def refuse_late(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise InvalidRequestError("Too late.")


async def leave_undone(scope, receive, send) -> None:
    await receive()


@pytest.mark.parametrize("handler", [refuse_late, leave_undone])
async def test_a_handler_that_breaks_off_is_not_run_again(new_place, handler):
    place = new_place(handler=handler)
    async with serving(place.app) as server:
        first = await server.connect()
        await first.send(request())
        await first.closed()
        answer = await (await server.connect()).ask(request())

    assert answer.status == 409
    assert answer.json()["error"]["code"] == "idempotency_reply_not_kept"
