"""Who talks in the dialect matrix: clients, upstreams, and the gateway's codecs between them."""

from typing import Any

import msgspec

from meterway.kit import json
from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.anthropic_complete import ANTHROPIC_COMPLETE
from meterway.protocols.chat.codec import ClientCodec, Encoded, Linkable, PassingCodec
from meterway.protocols.chat.codecs import CODECS
from meterway.protocols.chat.openai_completions import OPENAI_COMPLETIONS
from meterway.protocols.chat.openai_responses.codec import ResponsesTurn
from meterway.protocols.chat.openai_responses.frame import frame_of
from meterway.protocols.dialects import Dialect
from tests.conformance.matrix_cells import (
    CHAT,
    COMPLETE,
    COMPLETIONS,
    GEMINI,
    MESSAGES,
    RESPONSES,
    Body,
    Json,
    Pair,
    raw,
)
from tests.conformance.matrix_wire import G_HI, HI, PDF, PNG, human, prompt

MODELS = {
    CHAT: "gpt-5",
    RESPONSES: "gpt-5",
    MESSAGES: "claude-opus-5",
    GEMINI: "gemini-2.5-flash",
}
"""What the upstreams call their models, where a row names no others."""

PLAIN = "gpt-4.1"
"""A model of OpenAI's that does not reason."""

BASE: dict[Dialect, dict[str, Json]] = {
    CHAT: {"messages": [HI]},
    RESPONSES: {"input": "Hi"},
    MESSAGES: {"max_tokens": 100, "messages": [HI]},
    GEMINI: {"contents": [G_HI]},
    COMPLETIONS: prompt("Hi"),
    COMPLETE: {"max_tokens_to_sample": 100, **human("Hi")},
}


def request_body(client: Dialect, fields: Body, *, stream: bool) -> json.RawObject:
    """A client's whole request. Gemini's model and stream are put there by its route."""
    body = {"model": "asked", **BASE[client], **fields}
    if stream:
        body |= {"stream": True}
        if client in {CHAT, COMPLETIONS}:
            body |= {"stream_options": {"include_usage": True}}
    return json.decode_top(raw(body))


def client_of(dialect: Dialect, body: json.RawObject) -> ClientCodec:
    """The codec that serves the call which asks `body`."""
    match dialect:
        case Dialect.OPENAI_RESPONSES:
            return ResponsesTurn(frame_of(body, "resp_1", 1_700_000_000))
        case Dialect.OPENAI_COMPLETIONS:
            return OPENAI_COMPLETIONS.for_call(body)
        case Dialect.ANTHROPIC_COMPLETE:
            return ANTHROPIC_COMPLETE
        case _:
            return CODECS[dialect]


def translated(pair: Pair, body: json.RawObject, model: str) -> Encoded:
    """What an upstream of another dialect is sent."""
    client, upstream = client_of(pair[0], body), CODECS[pair[1]]
    request = fetched(client.decode_request(body), upstream.takes_urls)
    return upstream.encode_request(request, model)


def fetched(request: neutral.Request, takes_urls: Linkable) -> neutral.Request:
    """The request with the content of what the upstream cannot be given by URL, as relay does."""

    def filled(part: Any) -> Any:
        named = isinstance(part, neutral.Image | neutral.Document)
        if not named or type(part) in takes_urls or not isinstance(part.source, sources.UrlSource):
            return part
        found = ("image/png", PNG) if isinstance(part, neutral.Image) else ("application/pdf", PDF)
        return msgspec.structs.replace(part, source=sources.DataSource(*found))

    messages = [
        msgspec.structs.replace(turn, parts=tuple(map(filled, turn.parts)))
        for turn in request.messages
    ]
    return msgspec.structs.replace(request, messages=tuple(messages))


def through(dialect: Dialect, body: json.RawObject) -> PassingCodec:
    """What passes the call's request to an upstream of its own dialect, and the reply back."""
    codec = client_of(dialect, body).through
    assert codec is not None
    return codec


def passed(dialect: Dialect, body: json.RawObject, model: str) -> Json:
    """What an upstream of the client's own dialect is sent."""
    return msgspec.json.decode(through(dialect, body).pass_request(body, model))


def untouched(dialect: Dialect, body: json.RawObject, model: str) -> Json:
    """The client's own request, with what the gateway sets of it: the model, and no state."""
    sent = {**msgspec.json.decode(json.encode(body)), "model": model}
    match dialect:
        case Dialect.OPENAI_RESPONSES:
            sent["store"] = False
            if model != PLAIN:
                sent["include"] = [*sent.get("include", ()), "reasoning.encrypted_content"]
        case Dialect.GEMINI:  # the path says both
            del sent["model"]
            sent.pop("stream", None)
        case _:
            pass
    return sent
