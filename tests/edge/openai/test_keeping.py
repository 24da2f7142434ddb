"""Chat completions with `store: true`: kept before their end leaves, under an id of ours."""

import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from meterway.edge.openai import keeping
from meterway.edge.openai.keeping import KeepingCodec
from meterway.protocols.chat.codec import Facts
from tests.factories.relays import ANTHROPIC, Relay, channel
from tests.factories.shelves import open_shelf
from tests.fakes.transport import ScriptedResponse, stream, whole

PATH = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "hi"}]
ASK = {"model": "m", "messages": MESSAGES, "store": True}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
WHOLE = {
    "id": "chatcmpl-7",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "hello", "annotations": []},
            "finish_reason": "stop",
        }
    ],
    "usage": USAGE,
    "x_vendor": [1.50],
}
_CHUNK = {"id": "chatcmpl-7", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def _chunk(delta, finish=None, **more):
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return f"data: {json.dumps({**_CHUNK, 'choices': choices, **more})}\n\n".encode()


DONE = b"data: [DONE]\n\n"
LAST = f"data: {json.dumps({**_CHUNK, 'choices': [], 'usage': USAGE})}\n\n".encode()
STREAM = [
    _chunk({"role": "assistant", "content": "hel"}),
    _chunk({"content": "lo"}, x_vendor=1),
    _chunk({}, "stop"),
    LAST,
    DONE,
]
CLAUDE: list[tuple[str, dict[str, Any]]] = [
    (
        "message_start",
        {
            "message": {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "m",
                "content": [],
                "usage": {"input_tokens": 3, "output_tokens": 1},
            }
        },
    ),
    ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
    ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": "hello"}}),
    ("content_block_stop", {"index": 0}),
    ("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
    ("message_stop", {}),
]


def _claude():
    return [
        f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n".encode()
        for name, fields in CLAUDE
    ]


async def _streamed(kept, **changes):
    """Ask for a stream; return its events, and its bytes as they came."""
    client = await kept.server.connect()
    body = json.dumps({**ASK, "stream": True, **changes}).encode()
    head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {kept.ann}\r\n"
    head += f"connection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    await client.send(head.encode() + body)
    raw = await client.closed()
    lines = [line for line in raw.split(b"\r\n") if line.startswith(b"data: ")]
    blocks = [block for line in lines for block in line.split(b"\n\n") if block]
    return [json.loads(block[6:]) for block in blocks if block != b"data: [DONE]"], raw


async def _only(kept):
    (one,) = (await kept.told(f"GET {PATH}"))["data"]
    return one


async def test_whole_reply_is_kept_as_it_was_sent(engine):
    relay = Relay(whole(WHOLE))
    asked = {**ASK, "metadata": {"a": "1"}, "temperature": 0.5, "user": "u"}
    async with open_shelf(engine, relay) as kept:
        sent = await kept.told(f"POST {PATH}", asked)
        found = await kept.told(f"GET {PATH}/{sent['id']}")
        listed = await kept.told(f"GET {PATH}?metadata[a]=1&model=m")
        messages = await kept.told(f"GET {PATH}/{sent['id']}/messages")

    assert sent["id"].startswith("chatcmpl-")
    assert len(sent["id"]) == len("chatcmpl-") + 48
    assert sent == {**WHOLE, "id": sent["id"]}
    assert found.items() >= sent.items()
    assert found["metadata"] == {"a": "1"}
    assert (found["temperature"], found["input_user"], found["tools"]) == (0.5, "u", None)
    assert found["request_id"].startswith("req_")
    assert listed["data"] == [found]
    assert [message["content"] for message in messages["data"]] == ["hi"]


@pytest.mark.parametrize("model", [None, 5, ...])
async def test_reply_that_names_no_model_is_kept_under_the_one_that_was_asked(sqlite, model):
    reply = {name: value for name, value in WHOLE.items() if name != "model"}
    relay = Relay(whole(reply if model is ... else {**reply, "model": model}))
    async with open_shelf(sqlite, relay) as kept:
        sent = await kept.told(f"POST {PATH}", ASK)
        found = await kept.told(f"GET {PATH}?model=m")

    assert [one["id"] for one in found["data"]] == [sent["id"]]


async def test_reply_that_is_no_text_passes_and_is_not_kept(sqlite):
    broken = json.dumps(WHOLE).encode().replace(b"hello", b"\xff\xfe")
    relay = Relay(ScriptedResponse(200, [broken]))
    async with open_shelf(sqlite, relay) as kept:
        with capture_logs() as events:
            answer = await kept.ask(f"POST {PATH}", ASK)
        listed = await kept.told(f"GET {PATH}")

    assert (answer.status, answer.body) == (200, broken)
    assert listed["data"] == []
    assert [event["event"] for event in events if "kept" in event["event"]] == [
        "completion.not_kept"
    ]


async def test_vendors_are_asked_to_keep_nothing(sqlite):
    relay = Relay(whole(WHOLE), whole(WHOLE), whole(WHOLE), stream(*STREAM))
    async with open_shelf(sqlite, relay) as kept:
        for changes in ({"metadata": {"a": "1"}}, {"store": False}, {"store": None}):
            await kept.told(f"POST {PATH}", {**ASK, **changes})
        await _streamed(kept)

    first, second, third, streamed = (relay.transport.body(i) for i in range(4))
    assert first == {"model": "m", "messages": MESSAGES, "store": False}
    assert (second["store"], third["store"], streamed["store"]) == (False, None, False)


@pytest.mark.parametrize("store", [False, None])
async def test_nothing_is_kept_unless_asked(sqlite, store):
    relay = Relay(whole(WHOLE))
    async with open_shelf(sqlite, relay) as kept:
        sent = await kept.told(f"POST {PATH}", {**ASK, "store": store})
        listed = await kept.told(f"GET {PATH}")

    assert sent == WHOLE
    assert listed["data"] == []


async def test_nothing_is_kept_for_zero_retention(sqlite):
    relay = Relay(whole(WHOLE))
    async with open_shelf(sqlite, relay) as kept:
        asked = {**ASK, "metadata": {"a": "1"}}
        sent = await kept.told(f"POST {PATH}", asked, "zero")
        listed = await kept.told(f"GET {PATH}")

    assert sent == WHOLE
    assert listed["data"] == []
    assert relay.transport.body() == {"model": "m", "messages": MESSAGES, "store": False}


@pytest.mark.parametrize(
    ("changes", "param"),
    [({"store": "yes"}, "store"), ({"metadata": {"a": "x" * 600}}, "metadata")],
)
async def test_what_cannot_be_kept_is_refused_before_it_costs(sqlite, changes, param):
    relay = Relay()
    async with open_shelf(sqlite, relay) as kept:
        answer = await kept.ask(f"POST {PATH}", {**ASK, **changes})

    assert (answer.status, answer.json()["error"]["param"]) == (400, param)
    assert relay.transport.sent == []


@pytest.mark.parametrize("shows_usage", [True, False])
async def test_stream_is_kept_whole_under_the_id_its_chunks_bear(engine, shows_usage):
    relay = Relay(stream(*STREAM))
    async with open_shelf(engine, relay) as kept:
        options = {"stream_options": {"include_usage": shows_usage}}
        events, raw = await _streamed(kept, metadata={"a": "1"}, **options)
        found = await _only(kept)

    assert {event["id"] for event in events} == {found["id"]}
    assert events[1]["x_vendor"] == 1
    assert any(event.get("usage") for event in events) is shows_usage
    assert b"data: [DONE]" in raw
    (choice,) = found["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("hello", "stop")
    assert (found["object"], found["model"]) == ("chat.completion", "m")
    assert found["usage"]["total_tokens"] == 5
    assert found["metadata"] == {"a": "1"}


async def test_stream_of_another_dialect_is_kept_too(sqlite):
    relay = Relay(stream(*_claude()), channels=[channel(provider=ANTHROPIC)])
    async with open_shelf(sqlite, relay) as kept:
        events, _ = await _streamed(kept)
        found = await _only(kept)

    assert {event["id"] for event in events} == {found["id"]}
    assert found["choices"][0]["message"]["content"] == "hello"
    assert found["usage"]["completion_tokens"] == 2
    assert "store" not in relay.transport.body()


async def test_stream_is_kept_before_its_end_leaves(sqlite):
    relay = Relay()
    seen = []
    async with open_shelf(sqlite, relay) as kept:

        async def look():
            seen.append(len((await kept.told(f"GET {PATH}"))["data"]))

        # Nothing more comes after [DONE] until somebody has looked for the completion.
        relay.transport.answers = [stream(*STREAM[:-1], look, DONE, look)]
        await _streamed(kept)

    assert seen == [0, 1]


@pytest.mark.parametrize("store", [True, False])
async def test_what_was_asked_counts_as_held_until_it_is_kept(sqlite, store):
    relay = Relay()
    seen = []
    async with open_shelf(sqlite, relay) as kept:

        async def look():
            seen.append(kept.in_flight.held > 0)

        relay.transport.answers = [stream(*STREAM[:2], look, *STREAM[2:])]
        await _streamed(kept, store=store)

        assert seen == [store]
        assert kept.in_flight.held == 0


@pytest.mark.parametrize("count", [1, 2, 4])
async def test_stream_that_breaks_off_is_not_kept(sqlite, count):
    broken = b'data: {"error":{"message":"oh","type":"server_error"}}\n\n'
    cut = stream(*STREAM[:count]) if count < 4 else stream(*STREAM[:2], broken)
    relay = Relay(cut)
    async with open_shelf(sqlite, relay) as kept:
        with capture_logs() as events:
            await _streamed(kept)
        listed = await kept.told(f"GET {PATH}")

    assert listed["data"] == []
    assert not [event for event in events if event["event"] == "completion.not_kept"]


async def test_reply_is_delivered_where_the_database_cannot_keep_it(sqlite):
    relay = Relay(whole(WHOLE))
    async with open_shelf(sqlite, relay) as kept:
        await kept.told(f"GET {PATH}")  # the key is known from here on
        async with sqlite.begin() as tx:
            await tx.exec_driver_sql("ALTER TABLE stored_completions RENAME TO elsewhere")
        with capture_logs() as events:
            sent = await kept.told(f"POST {PATH}", ASK)

    assert sent["choices"] == WHOLE["choices"]
    (told,) = [event for event in events if event["event"] == "completion.not_kept"]
    assert told["log_level"] == "error"
    assert told["request_id"].startswith("req_")


async def test_completion_is_kept_for_as_long_as_the_operator_says(sqlite):
    for days, end in ((30, 30 * 86_400_000), (0, None)):
        relay = Relay(whole(WHOLE))
        async with open_shelf(sqlite, relay, days=days) as kept:
            sent = await kept.told(f"POST {PATH}", ASK)
        async with sqlite.connect() as connection:
            query = "SELECT created_at, expires_at FROM stored_completions WHERE id = ?"
            row = (await connection.exec_driver_sql(query, (sent["id"],))).one()
        assert (row.expires_at and row.expires_at - row.created_at) == end


def _read(reader, data, step):
    out = b"".join(reader.feed(data[i : i + step]) for i in range(0, len(data), step))
    return out + reader.end()


@pytest.mark.parametrize("step", [1, 7, 64, 10_000])
def test_stream_cut_anywhere_is_gathered_the_same(step):
    codec = KeepingCodec("chatcmpl-ours")
    reader = codec.stream_reader(Facts(model="m", stream=True, include_usage=False), None)

    out = _read(reader, b": hi\n\ndata: no json\n\n" + b"".join(STREAM), step)

    assert out.startswith(b": hi\n\ndata: no json\n\n")
    assert out.endswith(DONE)
    assert b"chatcmpl-7" not in out
    assert codec.reply is None
    assert codec.lost is not None  # data that is no chunk passes, and cannot be gathered
    codec = KeepingCodec("chatcmpl-ours")
    reader = codec.stream_reader(Facts(model="m", stream=True, include_usage=False), "named")
    _read(reader, b"".join(STREAM), step)
    assert codec.reply is not None
    reply = json.loads(codec.reply)
    assert (reply["id"], reply["model"]) == ("chatcmpl-ours", "named")
    assert reply["choices"][0]["message"]["content"] == "hello"


def test_stream_over_the_bound_passes_and_is_given_up(monkeypatch):
    monkeypatch.setattr(keeping, "LARGEST", 300)
    codec = KeepingCodec("chatcmpl-ours")
    reader = codec.stream_reader(Facts(model="m", stream=True), None)

    out = _read(reader, b"".join(STREAM), 1000)

    assert out.endswith(DONE)
    assert codec.reply is None
    assert "longer than 300 bytes" in (codec.lost or "")


def test_next_attempt_begins_anew():
    codec = KeepingCodec("chatcmpl-ours")
    _read(codec.stream_reader(Facts(model="m", stream=True), None), b"data: {}x\n\n", 100)

    _read(codec.stream_reader(Facts(model="m", stream=True), None), b"".join(STREAM), 100)

    assert codec.lost is None
    assert codec.reply is not None
