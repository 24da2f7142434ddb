"""Every client dialect over every upstream dialect, for every capability, whole and streamed.

The tables stand in `matrix_asks` and `matrix_tells`; a cell without a claim fails. Run
`python -m tests.conformance.test_dialect_matrix` to rewrite `docs/dialects.md` from them.
"""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from meterway.kit import json
from meterway.protocols.chat import neutral
from meterway.protocols.chat.codec import Codec
from meterway.protocols.chat.codecs import CODECS
from meterway.protocols.dialects import Dialect
from meterway.protocols.errors import UnsupportedContentError
from tests.conformance.matrix_asks import ASKS, HI
from tests.conformance.matrix_cells import (
    ANT,
    OAI,
    PAIRS,
    TITLES,
    Ask,
    Carried,
    Heard,
    NotAskable,
    NotSayable,
    Pair,
    Refused,
    Tell,
    Unchanged,
    check,
    raw,
    words,
)
from tests.conformance.matrix_streams import gathered, stream_of
from tests.conformance.matrix_tells import TELLS, completion, message

PAGE = Path(__file__).parents[2] / "docs" / "dialects.md"
MODELS = {OAI: "gpt-5", ANT: "claude-opus-5"}
BASE: dict[Dialect, dict[str, Any]] = {
    OAI: {"model": "asked", "messages": [HI]},
    ANT: {"model": "asked", "max_tokens": 100, "messages": [HI]},
}
ROWS: list[Ask | Tell] = [*ASKS, *TELLS]
pairs = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0]}>{pair[1]}")
streams = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def codecs(pair: Pair) -> tuple[Codec, Codec]:
    return CODECS[pair[0]], CODECS[pair[1]]


def request_body(client: Dialect, fields: Any, *, stream: bool) -> json.RawObject:
    body = {**BASE[client], **fields}
    if stream:
        body |= {"stream": True}
        if client is OAI:
            body |= {"stream_options": {"include_usage": True}}
    return json.decode_top(raw(body))


def test_the_matrix_has_known_dialects():
    assert {dialect for pair in PAIRS for dialect in pair} <= set(CODECS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
def test_every_cell_has_a_claim(row: Ask | Tell):
    assert set(row.cells) == set(PAIRS)


@pytest.mark.parametrize(
    "capability",
    [
        "system prompt", "several turns", "tools", "parallel tool calls and their results",
        "tool results with images", "strict tools", "output of a JSON schema", "image by URL",
        "image in base64", "PDF in base64", "signed thinking in history", "cache marks",
        "stop sequences", "logprobs", "several choices", "thinking with a signature", "refusal",
        "usage with cache and reasoning", "error in a reply or midway in a stream",
    ],
)  # fmt: skip
def test_a_capability_never_leaves_the_matrix(capability: str):
    assert capability in {row.title for row in ROWS}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
@pairs
def test_only_what_cannot_be_asked_or_said_has_no_example(pair: Pair, row: Ask | Tell):
    has_example = pair[0] in row.clients if isinstance(row, Ask) else pair[1] in row.upstreams

    assert has_example is not isinstance(row.cells[pair], NotAskable | NotSayable)


def test_no_capability_stands_twice():
    titles = [row.title for row in ROWS]

    assert len(titles) == len(set(titles))


@streams
@pytest.mark.parametrize("ask", ASKS, ids=lambda ask: ask.title)
@pairs
def test_what_the_upstream_is_sent(pair: Pair, ask: Ask, stream: bool):  # noqa: FBT001 - a table's column
    client, upstream = codecs(pair)
    body = request_body(pair[0], ask.clients.get(pair[0], {}), stream=stream)
    model = {**MODELS, **ask.models}[pair[1]]

    match ask.cells[pair]:
        case NotAskable(why=why):
            assert why
        case Unchanged():
            passed = msgspec.json.decode(client.pass_request(body, model))
            assert passed == {**msgspec.json.decode(json.encode(body)), "model": model}
        case Refused(param=param):
            with pytest.raises(UnsupportedContentError) as refusal:
                upstream.encode_request(client.decode_request(body), model)
            assert refusal.value.param == param
            assert refusal.value.status == 400
        case Carried() as claim:
            encoded = upstream.encode_request(client.decode_request(body), model)
            check({"model": model, **claim.body}, msgspec.json.decode(encoded.body))
            assert encoded.dropped == claim.dropped
            assert msgspec.json.decode(encoded.body).get("stream", False) is stream


@pytest.mark.parametrize("tell", TELLS, ids=lambda tell: tell.title)
@pairs
def test_what_the_client_hears_whole(pair: Pair, tell: Tell):
    client, upstream = codecs(pair)
    body = raw(tell.upstreams.get(pair[1], {}))

    match tell.cells[pair]:
        case NotSayable(why=why):
            assert why
        case Unchanged():
            assert upstream.pass_reply(body, None).body == body
        case Heard(reply=expected):
            reply = upstream.decode_reply(body)
            if isinstance(reply, neutral.Failed):
                error: Any = expected["error"]
                assert (reply.message, reply.kind) == (error["message"], error["type"])
            else:
                check(expected, msgspec.json.decode(client.encode_reply(reply)))


@pytest.mark.parametrize("tell", TELLS, ids=lambda tell: tell.title)
@pairs
def test_what_the_client_hears_streamed(pair: Pair, tell: Tell):
    client, upstream = codecs(pair)
    request = request_body(pair[0], {}, stream=True)

    match tell.cells[pair]:
        case NotSayable(why=why):
            assert why
        case Unchanged():
            stream = stream_of(pair[1], tell.upstreams[pair[1]])
            reader = client.stream_reader(client.facts(request), None)
            assert reader.feed(stream) + reader.end() == stream
            assert reader.closed is not (reader.failure is not None)
        case Heard(reply=expected):
            stream = stream_of(pair[1], tell.upstreams[pair[1]])
            decoder = upstream.stream_decoder()
            encoder = client.stream_encoder(client.decode_request(request))
            events = decoder.feed(stream) + decoder.end()
            told = b"".join(encoder.encode(event) for event in events)
            check(expected, gathered(pair[0], told))


@pairs
def test_an_error_after_the_first_words_reaches_the_client(pair: Pair):
    client, upstream = codecs(pair)
    begun = {OAI: completion(content="Hello"), ANT: message({"type": "text", "text": "Hello"})}
    failure = {
        OAI: {"error": {"message": "Busy", "type": "server_error"}},
        ANT: {"type": "error", "error": {"type": "api_error", "message": "Busy"}},
    }
    said = stream_of(pair[1], begun[pair[1]])
    cut = said.index(b"\n\n", said.index(b"He")) + 2
    stream = said[:cut] + stream_of(pair[1], failure[pair[1]])
    decoder = upstream.stream_decoder()
    encoder = client.stream_encoder(client.decode_request(request_body(pair[0], {}, stream=True)))

    events = decoder.feed(stream) + decoder.end()

    heard = gathered(pair[0], b"".join(encoder.encode(event) for event in events))
    assert heard["error"]["message"] == "Busy"
    assert isinstance(events[-1], neutral.Failed)


@pytest.mark.parametrize(
    ("status", "ant", "oai"),
    [
        (400, "invalid_request_error", "invalid_request_error"),
        (401, "authentication_error", "authentication_error"),
        (403, "permission_error", "permission_error"),
        (404, "not_found_error", "not_found_error"),
        (413, "request_too_large", "request_too_large"),
        (429, "rate_limit_error", "rate_limit_error"),
        (500, "api_error", "server_error"),
    ],
)
def test_an_upstreams_refusal_keeps_its_status_and_words(status: int, ant: str, oai: str):
    bodies = {
        OAI: raw({"error": {"message": "Said.", "type": oai, "param": None, "code": None}}),
        ANT: raw({"type": "error", "error": {"type": ant, "message": "Said."}}),
    }

    for dialect, kind in ((OAI, oai), (ANT, ant)):
        failure = CODECS[dialect].decode_error(status, {}, bodies[dialect])
        assert (failure.status, failure.message, failure.kind) == (status, "Said.", kind)


def matrix_page() -> str:
    """`docs/dialects.md`: the tables in words."""
    heads = [f"{TITLES[client]} → {TITLES[upstream]}" for client, upstream in PAIRS]
    return "\n".join(
        [
            "# Dialects",
            "",
            "What a client of one API can ask of, and hear from, an upstream that speaks another.",
            "Columns name the client's dialect, then the upstream's. This page is made from the",
            "tables that the test suite checks, for whole replies and for streams; rewrite it with",
            "`python -m tests.conformance.test_dialect_matrix`.",
            "",
            "Between equal dialects requests, replies and streams pass unchanged: the gateway sets",
            "the model's name, and on OpenAI streams asks for usage. What another dialect cannot",
            "express is either refused with a 400 that names its place in the request, or, where",
            "it only tunes the answer, left out and named.",
            "",
            "## Requests",
            "",
            *_table(heads, ASKS),
            "",
            "## Replies",
            "",
            *_table(heads, TELLS),
            "",
        ]
    )


def _table(heads: list[str], rows: list[Any]) -> list[str]:
    lines = [["", *heads], ["---"] * (len(heads) + 1)]
    lines += [[row.title, *(words(row.cells[pair]) for pair in PAIRS)] for row in rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def test_the_page_says_what_the_tables_say():
    assert PAGE.read_text(encoding="utf-8") == matrix_page()


if __name__ == "__main__":
    PAGE.write_text(matrix_page(), encoding="utf-8")
