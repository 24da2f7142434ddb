"""Every client dialect over every upstream dialect, for every capability, whole and streamed.

The rows stand in the `matrix_` modules beside; a cell without a claim fails. `docs/dialects.md`
is made from them by `python -m scripts.build_docs`.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from meterway.kit import json
from meterway.protocols.chat import neutral
from meterway.protocols.chat.codec import ClientCodec, StreamDecoder
from meterway.protocols.chat.codecs import CODECS
from meterway.protocols.chat.gemini import GEMINI_ARRAY
from meterway.protocols.dialects import Dialect
from meterway.protocols.errors import BadReplyError, UnsupportedContentError
from tests.conformance.matrix_answers import completion, generated, message, r_message, r_output
from tests.conformance.matrix_answers import response as whole_response
from tests.conformance.matrix_cells import (
    ANYTHING,
    CHAT,
    CLIENTS,
    GEMINI,
    MESSAGES,
    PAIRS,
    RESPONSES,
    UPSTREAMS,
    Ask,
    Carried,
    Example,
    Failing,
    Heard,
    NotAskable,
    NotSayable,
    Pair,
    Refused,
    Tell,
    Unchanged,
    check,
    raw,
)
from tests.conformance.matrix_page import PAGE, matrix_page
from tests.conformance.matrix_parties import (
    MODELS,
    client_of,
    passed,
    request_body,
    through,
    translated,
    untouched,
)
from tests.conformance.matrix_rows import ASKS, ROWS, TELLS
from tests.conformance.matrix_streams_heard import gathered
from tests.conformance.matrix_streams_sent import gemini_chunks, stream_of
from tests.conformance.matrix_wire import g_text, text

streams = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)


def cells(rows: Sequence[Ask | Tell], pairs: Sequence[Pair] = PAIRS) -> pytest.MarkDecorator:
    """The cells of `rows` with something to see: those that name a reason have nothing."""
    return pytest.mark.parametrize(
        ("pair", "row"),
        [
            pytest.param(pair, row, id=f"{row.title}-{pair[0]}>{pair[1]}")
            for row in rows
            for pair in pairs
            if not isinstance(row.cell(pair), NotAskable | NotSayable)
        ],
    )


# -- the matrix is whole ---------------------------------------------------------------------------


def test_the_matrix_covers_every_dialect():
    assert set(CLIENTS) == set(Dialect)
    assert set(UPSTREAMS) == set(CODECS)


@each_row
def test_every_cell_has_a_claim(row: Ask | Tell):
    for pair in PAIRS:
        match row.cell(pair):
            case None:
                pytest.fail(f"{pair} claims nothing")
            case NotAskable(why=why) | NotSayable(why=why) | Failing(why=why):
                assert why


@pytest.mark.parametrize("ask", ASKS, ids=lambda ask: ask.title)
def test_every_claim_of_a_request_is_used(ask: Ask):
    asking = [client for client, one in ask.clients.items() if isinstance(one, Example)]

    for upstream in ask.upstreams:
        others = [client for client in asking if client is not upstream]
        assert any((client, upstream) not in ask.pairs for client in others), upstream
    for (client, upstream), claim in ask.pairs.items():
        assert client in asking
        assert client is upstream or claim != ask.upstreams.get(upstream)


@pytest.mark.parametrize("tell", TELLS, ids=lambda tell: tell.title)
def test_every_claim_of_a_reply_is_used(tell: Tell):
    saying = [
        upstream for upstream, one in tell.upstreams.items() if not isinstance(one, NotSayable)
    ]

    for client, heard in tell.clients.items():
        if not isinstance(heard, NotAskable):
            others = [upstream for upstream in saying if client is not upstream]
            assert any((client, upstream) not in tell.pairs for upstream in others), client
    for (client, upstream), claim in tell.pairs.items():
        assert upstream in saying
        assert client is upstream or claim != tell.clients.get(client)


@pytest.mark.parametrize(
    "capability",
    [
        "system prompt", "several turns", "tools", "parallel tool calls and their results",
        "tool results with images", "strict tools", "output of a JSON schema", "image by URL",
        "image in base64", "PDF in base64", "signed thinking in history", "cache marks",
        "stop sequences", "logprobs", "several choices", "thinking with a signature", "refusal",
        "usage with cache and reasoning", "error in a reply or midway in a stream",
        "a tool of the client's that is no function", "tools in a namespace", "audio",
        "the vendor's own tools alone", "the vendor's own tools beside functions",
        "OpenAI's reasoning items in history", "Gemini's signed thoughts in history",
        "Gemini's signature of a call", "safety settings", "stop reason: the limit",
        "call of a tool that is no function", "the tier it was served in",
    ],
)  # fmt: skip
def test_a_capability_never_leaves_the_matrix(capability: str):
    assert capability in {row.title for row in ROWS}


def test_no_capability_stands_twice():
    titles = [row.title for row in ROWS]

    assert len(titles) == len(set(titles))


# -- requests --------------------------------------------------------------------------------------


@streams
@cells(ASKS)
def test_what_the_upstream_is_sent(pair: Pair, row: Ask, stream: bool):  # noqa: FBT001 - a table's column
    client, upstream = pair
    model = {**MODELS, **row.models}[upstream]
    body = request_body(client, row.example(client), stream=stream)

    match row.cell(pair):
        case Unchanged():
            assert passed(client, body, model) == untouched(client, body, model)
        case Carried(body=expected) if client is upstream:
            check(expected, passed(client, body, model))
        case Refused(param=param):
            with pytest.raises(UnsupportedContentError) as refusal:
                translated(pair, body, model)
            assert refusal.value.param == param
            assert refusal.value.status == 400
        case Carried(body=expected, dropped=dropped):
            encoded = translated(pair, body, model)
            sent = msgspec.json.decode(encoded.body)
            check({**expected} if upstream is GEMINI else {"model": model, **expected}, sent)
            assert encoded.dropped == dropped
            assert sent.get("stream", False) is (stream and upstream is not GEMINI)
        case claim:
            pytest.fail(f"nothing to see of {claim}")


# -- replies ---------------------------------------------------------------------------------------


def events_of(decoder: StreamDecoder, stream: bytes) -> list[neutral.Event]:
    return decoder.feed(stream) + decoder.end()


def told(codec: ClientCodec, body: json.RawObject, events: list[neutral.Event]) -> bytes:
    """The stream that tells the client which asked `body` of `events`."""
    encoder = codec.stream_encoder(codec.decode_request(body))
    return b"".join([encoder.encode(event) for event in events])


def as_it_was(client: Dialect, reply: Any) -> Any:
    """What is expected of a reply that passes: a response is told under the client's own frame."""
    framed = {"id", "created_at"} if client is RESPONSES else set()
    return {key: value for key, value in reply.items() if key not in framed}


@cells(TELLS)
def test_what_the_client_hears_whole(pair: Pair, row: Tell):
    client, upstream = pair
    body = request_body(client, row.asking.get(client, {}), stream=False)
    answer = raw(row.answer(upstream))
    codec, claim = client_of(client, body), row.cell(pair)

    if client is upstream:
        found = msgspec.json.decode(through(client, body).pass_reply(answer, None).body)
        check(
            claim.reply if isinstance(claim, Heard) else as_it_was(client, row.answer(upstream)),
            found,
        )
        return
    reply = CODECS[upstream].decode_reply(answer)
    match claim:
        case Failing() if isinstance(reply, neutral.Reply):
            with pytest.raises(BadReplyError):
                codec.encode_reply(reply)
        case Heard(reply=expected) if isinstance(reply, neutral.Failed):
            error = expected["error"]
            assert reply.message == error["message"]
            assert error.get("type", ANYTHING) in {ANYTHING, reply.kind}
            assert reply.status >= 500
        case Heard(reply=expected) if isinstance(reply, neutral.Reply):
            check(expected, msgspec.json.decode(codec.encode_reply(reply)))
        case _:
            pytest.fail(f"nothing to hear of {claim}")


@cells(TELLS)
def test_what_the_client_hears_streamed(pair: Pair, row: Tell):
    client, upstream = pair
    body = request_body(client, row.asking.get(client, {}), stream=True)
    stream = stream_of(upstream, row.answer(upstream))
    codec, claim = client_of(client, body), row.cell(pair)

    if client is upstream:
        reader = through(client, body).stream_reader(codec.facts(body), None)
        forwarded = reader.feed(stream) + reader.end()
        expected = (
            claim.reply if isinstance(claim, Heard) else as_it_was(client, gathered(client, stream))
        )
        check(expected, gathered(client, forwarded))
        assert client is RESPONSES or forwarded == stream
        assert reader.closed is not (reader.failure is not None)
        return
    events = events_of(CODECS[upstream].stream_decoder(), stream)
    match claim:
        case Failing():
            with pytest.raises(BadReplyError):
                told(codec, body, events)
        case Heard(reply=expected):
            check(expected, gathered(client, told(codec, body, events)))
        case _:
            pytest.fail(f"nothing to hear of {claim}")


@cells(TELLS, [pair for pair in PAIRS if pair[0] is GEMINI and pair[1] is not GEMINI])
def test_a_gemini_client_hears_the_same_in_an_array(pair: Pair, row: Tell):
    body = request_body(GEMINI, row.asking.get(GEMINI, {}), stream=True)
    events = events_of(CODECS[pair[1]].stream_decoder(), stream_of(pair[1], row.answer(pair[1])))

    in_events, in_array = (told(codec, body, events) for codec in (CODECS[GEMINI], GEMINI_ARRAY))

    chunks = msgspec.json.decode(in_array, type=list[msgspec.Raw])
    assert b"".join(b"data: %b\n\n" % bytes(chunk) for chunk in chunks) == in_events


@pytest.mark.parametrize("row", [row for row in TELLS if isinstance(row.upstreams[GEMINI], dict)])
def test_a_gemini_upstream_may_answer_in_an_array(row: Tell):
    reply = row.answer(GEMINI)

    in_array = events_of(CODECS[GEMINI].stream_decoder(), msgspec.json.encode(gemini_chunks(reply)))

    assert in_array == events_of(CODECS[GEMINI].stream_decoder(), stream_of(GEMINI, reply))


# -- errors ----------------------------------------------------------------------------------------

BEGUN = {
    CHAT: completion(content="Hello"),
    RESPONSES: whole_response(r_message(r_output("Hello"))),
    MESSAGES: message(text("Hello")),
    GEMINI: generated(g_text("Hello")),
}
ERRORS = next(row for row in TELLS if row.title == "error in a reply or midway in a stream")


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0]}>{pair[1]}")
def test_an_error_after_the_first_words_reaches_the_client(pair: Pair):
    client, upstream = pair
    body = request_body(client, {}, stream=True)
    said = stream_of(upstream, BEGUN[upstream])
    cut = said.index(b"\n\n", said.index(b'"He"')) + 2
    stream = said[:cut] + stream_of(upstream, ERRORS.answer(upstream))

    events = events_of(CODECS[upstream].stream_decoder(), stream)

    heard = told(client_of(client, body), body, events)
    assert isinstance(events[-1], neutral.Failed)
    assert b"He" in heard
    assert gathered(client, heard)["error"]["message"] == "Busy"


@pytest.mark.parametrize(
    ("status", "openai", "anthropic", "google"),
    [
        (400, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"),
        (401, "authentication_error", "authentication_error", "UNAUTHENTICATED"),
        (403, "permission_error", "permission_error", "PERMISSION_DENIED"),
        (404, "not_found_error", "not_found_error", "NOT_FOUND"),
        (413, "request_too_large", "request_too_large", "INVALID_ARGUMENT"),
        (429, "rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED"),
        (500, "server_error", "api_error", "INTERNAL"),
    ],
)
def test_an_upstreams_refusal_keeps_its_status_and_words(
    status: int, openai: str, anthropic: str, google: str
):
    of_openai = {"error": {"message": "Said.", "type": openai, "param": None, "code": None}}
    of_anthropic = {"type": "error", "error": {"type": anthropic, "message": "Said."}}
    of_google = {"error": {"code": status, "message": "Said.", "status": google}}

    for upstream, body, kind in (
        (CHAT, of_openai, openai),
        (RESPONSES, of_openai, openai),
        (MESSAGES, of_anthropic, anthropic),
        (GEMINI, of_google, google),
    ):
        failure = CODECS[upstream].decode_error(status, {}, raw(body))
        assert (failure.status, failure.message, failure.kind) == (status, "Said.", kind)


# -- the page --------------------------------------------------------------------------------------


def test_the_page_says_what_the_rows_say():
    assert PAGE.read_text(encoding="utf-8") == matrix_page()
