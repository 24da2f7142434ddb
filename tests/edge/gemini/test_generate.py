"""The Gemini face on real sockets, over scripted upstreams: both sides of the wire."""

import asyncio
import json
from pathlib import Path

import pytest

from meterway.edge.gemini import generate
from meterway.edge.http import InFlight
from meterway.edge.server import Route, Server
from meterway.edge.serving import Desk
from meterway.kit.ids import CallIds
from meterway.kit.tasks import Tasks
from meterway.protocols.dialects import Dialect
from meterway.protocols.usage import Usage
from meterway.relay.record import Outcome
from meterway.upstreams.types import AuthForm, Provider
from tests.factories.relays import ANTHROPIC, CALLER, Relay, channel
from tests.fakes.http_server import DEADLINE, Answer, serving
from tests.fakes.transport import stream, whole

WIRE = Path(__file__).parents[2] / "wire" / "gemini"
GEMINI = Provider(
    name="gemini-row",
    title="G",
    source="x",
    speaks={Dialect.GEMINI: "/v1beta/models/{model}:generateContent"},
    streams={Dialect.GEMINI: "/v1beta/models/{model}:streamGenerateContent?alt=sse"},
    auth=AuthForm.X_GOOG_API_KEY,
)
ASK = {"contents": [{"parts": [{"text": "Hi"}]}]}
WHOLE, STREAM = "/v1beta/models/m:generateContent", "/v1beta/models/m:streamGenerateContent"
COMPLETION = {
    "id": "c1",
    "model": "m",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}


class Trusting:
    """Knows one key."""

    def known(self, token: str):
        return CALLER if token == "k" else None

    async def principal(self, token: str):
        raise AssertionError(f"asked of {token}")


async def ask(relay: Relay, path: str, body=ASK, key: str = "x-goog-api-key: k") -> Answer:
    desk = Desk(
        authenticator=Trusting(),  # type: ignore[arg-type]  # what a call asks of it
        gate=relay.gate,
        in_flight=InFlight(1 << 20),
        tasks=Tasks(),
        body_limit=1 << 20,
    )
    routes = [
        Route("POST", generate.WHOLE_PATH, generate.GenerateContent(desk, stream=False)),
        Route("POST", generate.STREAM_PATH, generate.GenerateContent(desk, stream=True)),
    ]
    sent = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\n{key}\r\ncontent-length: {len(sent)}\r\n\r\n"
    async with serving(Server(routes, CallIds(1))) as server:
        client = await server.connect()
        answer = await client.ask(head.encode() + sent)
        if "transfer-encoding" in answer.headers:
            raw = await asyncio.wait_for(client.reader.readuntil(b"\r\n0\r\n\r\n"), DEADLINE)
            answer.body = unchunked(raw)
        return answer


def unchunked(raw: bytes) -> bytes:
    body = b""
    while raw:
        size, _, rest = raw.partition(b"\r\n")
        body, raw = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return body


def native(*answers) -> Relay:
    return Relay(*answers, channels=[channel(provider=GEMINI, models={"m": "gemini-x"})])


def words(chunks) -> str:
    parts = [part for one in chunks for part in one["candidates"][0]["content"]["parts"]]
    return "".join(part.get("text", "") for part in parts)


def events(body: bytes):
    return [json.loads(block.removeprefix(b"data: ")) for block in body.split(b"\n\n")[:-1]]


async def test_a_whole_reply_passes_between_gemini_and_gemini():
    reply = json.loads((WIRE / "text.json").read_bytes())
    relay = native(whole(reply))

    answer = await ask(relay, WHOLE, {**ASK, "unheard": 1})

    (sent,) = relay.transport.sent
    assert sent.url.target == "/v1beta/models/gemini-x:generateContent"
    assert dict(sent.headers)[b"x-goog-api-key"] == b"secret-a"
    assert relay.transport.body() == {**ASK, "unheard": 1}
    assert answer.json() == {**reply, "modelVersion": "m"}
    assert relay.usage == Usage(input=9, output=5)


async def test_a_stream_of_events_passes_and_is_metered():
    raw = (WIRE / "tools.sse").read_bytes()
    relay = native(stream(raw[:300], raw[300:]))

    answer = await ask(relay, f"{STREAM}?alt=sse")

    (sent,) = relay.transport.sent
    assert sent.url.target == "/v1beta/models/gemini-x:streamGenerateContent?alt=sse"
    assert answer.headers["content-type"].startswith("text/event-stream")
    calls = events(answer.body)[-1]["candidates"][0]["content"]["parts"]
    assert calls[0]["thoughtSignature"] == "c2lnLWE="
    assert relay.usage == Usage(input=120, output=30, reasoning=64)
    assert relay.records[0].outcome is Outcome.COMPLETED


async def test_without_alt_sse_the_stream_is_an_array():
    relay = native(stream((WIRE / "text.sse").read_bytes()))

    answer = await ask(relay, STREAM)

    assert answer.headers["content-type"].startswith("application/json")
    assert words(json.loads(answer.body)) == "Hello, wörld!"


@pytest.mark.parametrize("path", [WHOLE, STREAM, f"{STREAM}?alt=sse"])
async def test_an_upstream_of_openais_dialect_answers_a_gemini_client(path: str):
    relay = Relay(whole(COMPLETION))

    answer = await ask(relay, path)

    sent = relay.transport.body()
    assert (sent["model"], sent["messages"]) == ("m", [{"role": "user", "content": "Hi"}])
    assert sent.get("stream", False) is (path != WHOLE)
    chunks = [answer.json()] if path == WHOLE else None
    if chunks is None:
        chunks = events(answer.body) if "alt" in path else json.loads(answer.body)
    assert words(chunks) == "hi"
    assert chunks[-1]["usageMetadata"]["totalTokenCount"] == 5
    assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"


async def test_a_gemini_client_reaches_claude_with_a_tool_turn():
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "RXJV"},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 7, "output_tokens": 9},
    }
    done = {**message, "content": [{"type": "text", "text": "Done."}], "stop_reason": "end_turn"}
    relay = Relay(whole(message), whole(done), channels=[channel(provider=ANTHROPIC)])
    asked = {
        **ASK,
        "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}],
        "generationConfig": {"maxOutputTokens": 100},
    }

    first = (await ask(relay, WHOLE, asked)).json()["candidates"][0]["content"]
    result = {"functionResponse": {"id": "toolu_1", "name": "f", "response": {"output": "1"}}}
    asked["contents"] = [*ASK["contents"], first, {"role": "user", "parts": [result]}]
    second = await ask(relay, WHOLE, asked)

    assert first["parts"][1]["functionCall"] == {"id": "toolu_1", "name": "f", "args": {"a": 1}}
    turns = relay.transport.body()["messages"]
    assert turns[1]["content"] == message["content"]
    assert turns[2]["content"][0]["tool_use_id"] == "toolu_1"
    assert relay.transport.body()["tools"][0]["input_schema"] == {"type": "object"}
    assert words([second.json()]) == "Done."


async def test_an_anthropic_client_does_a_tool_turn_with_gemini():
    relay = native(stream((WIRE / "tools.sse").read_bytes()), whole({"candidates": [{}]}))
    ask_ = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]}

    said = await relay.run({**ask_, "stream": True}, Dialect.ANTHROPIC_MESSAGES)

    assert relay.transport.sent[0].url.target.endswith(":streamGenerateContent?alt=sse")
    assert relay.transport.body() == {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "generationConfig": {"maxOutputTokens": 50},
    }
    assert b'"type":"tool_use","id":"fc1","name":"get_weather"' in said
    assert b'"stop_reason":"tool_use"' in said
    assert relay.usage == Usage(input=120, output=30, reasoning=64)


async def test_a_cut_stream_ends_with_an_error_in_googles_shape():
    raw = (WIRE / "text.sse").read_bytes()
    cut = raw[: raw.index(b"rld!")]

    listed = await ask(native(stream(cut)), STREAM)
    told = await ask(native(stream(cut)), f"{STREAM}?alt=sse")

    for chunks in (json.loads(listed.body), events(told.body.replace(b"\r\n", b"\n"))):
        assert chunks[-1]["error"]["code"] == 502
        assert chunks[-1]["error"]["status"] == "INTERNAL"


async def test_refusals_have_googles_shape():
    error = {"error": {"code": 400, "message": "Bad.", "status": "INVALID_ARGUMENT"}}
    theirs = await ask(native(whole(error, status=400)), WHOLE)
    ours = await ask(native(), WHOLE, {"contents": [], "generationConfig": {"topP": "x"}})
    keyless = await ask(native(), WHOLE, key="x-other: k")
    unknown = await ask(native(), "/v1beta/models/nope:generateContent")

    assert theirs.json() == error
    assert keyless.json()["error"]["status"] == "UNAUTHENTICATED"
    assert unknown.json()["error"]["code"] == unknown.status == 404
    assert ours.status != 200


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (WHOLE, "authorization: Bearer k"),
        (f"{WHOLE}?key=k", "x-other: v"),
        (f"{WHOLE}?alt=json&key=k", "x-other: v"),
        ("/v1/models/m:generateContent", "x-goog-api-key: k"),
        ("/v1beta/v1beta/models/m:generateContent", "x-goog-api-key: k"),
        ("/gemini/v1beta/models/m:generateContent", "x-goog-api-key: k"),
        ("/v1beta/models/models%2Fm:generateContent", "x-goog-api-key: k"),
    ],
)
async def test_every_form_of_path_and_key_is_understood(path: str, key: str):
    relay = native(whole(json.loads((WIRE / "text.json").read_bytes())))

    assert (await ask(relay, path, key=key)).status == 200
