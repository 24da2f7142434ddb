"""The replies of the dialect matrix: what upstreams answer, and what clients then hear."""

from typing import Any

from tests.conformance.matrix_cells import (
    ANT,
    OAI,
    Heard,
    Json,
    NotSayable,
    Pair,
    Tell,
    Told,
    Unchanged,
)

SAME: dict[Pair, Told] = {(OAI, OAI): Unchanged(), (ANT, ANT): Unchanged()}
NO_WORD = "the upstream's dialect has no word for it"


def completion(finish: str = "stop", *, usage: Json = None, **message: Any) -> dict[str, Any]:
    """A chat completion of one choice."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "gpt-5",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": None, "refusal": None, **message},
                "logprobs": None,
                "finish_reason": finish,
            }
        ],
        "usage": usage or {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
    }


def message(*content: Json, stop: str = "end_turn", usage: Json = None, **more: Any) -> Json:
    """An Anthropic message."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5",
        "content": list(content),
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": usage or {"input_tokens": 9, "output_tokens": 4},
        **more,
    }


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def choice(finish: str = "stop", **said: Any) -> dict[str, Any]:
    """What a client of OpenAI's dialect is expected to hear."""
    return {"choices": [{"index": 0, "message": said, "finish_reason": finish}]}


def called(id_: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def use(id_: str, name: str, given: Json) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": name, "input": given}


CALLS = [called("c1", "f", '{"a":"é"}'), called("c2", "g", "{}")]
USES = [use("c1", "f", {"a": "é"}), use("c2", "g", {})]

CONTENT = [
    Tell(
        "text",
        {OAI: completion(content="Hi é"), ANT: message(text("Hi é"))},
        SAME
        | {
            (OAI, ANT): Heard(choice(content="Hi é") | {"id": "msg_1", "model": "claude-opus-5"}),
            (ANT, OAI): Heard(
                {"content": [text("Hi é")], "stop_reason": "end_turn", "id": "chatcmpl-1"}
            ),
        },
    ),
    Tell(
        "tool call",
        {
            OAI: completion("tool_calls", tool_calls=CALLS[:1]),
            ANT: message(USES[0], stop="tool_use"),
        },
        SAME
        | {
            (OAI, ANT): Heard(choice("tool_calls", content=None, tool_calls=CALLS[:1])),
            (ANT, OAI): Heard({"content": USES[:1], "stop_reason": "tool_use"}),
        },
    ),
    Tell(
        "text and parallel tool calls",
        {
            OAI: completion("tool_calls", content="So:", tool_calls=CALLS),
            ANT: message(text("So:"), *USES, stop="tool_use"),
        },
        SAME
        | {
            (OAI, ANT): Heard(choice("tool_calls", content="So:", tool_calls=CALLS)),
            (ANT, OAI): Heard({"content": [text("So:"), *USES], "stop_reason": "tool_use"}),
        },
    ),
    Tell(
        "thinking with a signature",
        {
            OAI: completion(reasoning_content="hmm", content="a"),
            ANT: message({"type": "thinking", "thinking": "hmm", "signature": "SIG"}, text("a")),
        },
        SAME
        | {
            (OAI, ANT): Heard(
                choice(reasoning_content="hmm", content="a"),
                note="`reasoning_content`, the signature in `reasoning_details`",
            ),
            (ANT, OAI): Heard(
                {"content": [{"type": "thinking", "thinking": "hmm", "signature": ""}, text("a")]},
                note="a thinking block with an empty signature",
            ),
        },
    ),
    Tell(
        "redacted thinking",
        {ANT: message({"type": "redacted_thinking", "data": "DATA"}, text("a"))},
        SAME
        | {
            (OAI, ANT): Heard(
                choice(
                    content="a",
                    reasoning_details=[{"type": "reasoning.encrypted", "data": "DATA", "index": 0}],
                ),
                note="in `reasoning_details`",
            ),
            (ANT, OAI): NotSayable(NO_WORD),
            (OAI, OAI): NotSayable(NO_WORD),
        },
    ),
    Tell(
        "refusal",
        {
            OAI: completion(refusal="No."),
            ANT: message(
                stop="refusal",
                stop_details={"type": "refusal", "category": "bio", "explanation": "No."},
            ),
        },
        SAME
        | {
            (OAI, ANT): Heard(choice(refusal="No.", content=None)),
            (ANT, OAI): Heard(
                {
                    "content": [text("No.")],
                    "stop_reason": "refusal",
                    "stop_details": {"type": "refusal"},
                },
                note="as text, with the stop reason `refusal`",
            ),
        },
    ),
    Tell(
        "logprobs in the reply",
        {
            OAI: completion(content="a")
            | {
                "choices": [
                    {
                        **completion(content="a")["choices"][0],
                        "logprobs": {"content": [{"token": "a", "logprob": -0.1}]},
                    }
                ]
            },
        },
        SAME
        | {
            (OAI, ANT): NotSayable(NO_WORD),
            (ANT, ANT): NotSayable(NO_WORD),
            (ANT, OAI): Heard({"content": [text("a")]}, note="not asked for, not told"),
        },
    ),
]


def stop(finish: str | None, word: str | None, oai: Told, ant: Told, **more: Any) -> Tell:
    """One stop reason: OpenAI's word, Anthropic's, and what the other side's client hears."""
    cells: dict[Pair, Told] = {
        (OAI, OAI): Unchanged() if finish else NotSayable(NO_WORD),
        (ANT, ANT): Unchanged() if word else NotSayable(NO_WORD),
        (OAI, ANT): oai,
        (ANT, OAI): ant,
    }
    return Tell(
        f"stop reason: {' / '.join(filter(None, (finish, word)))}",
        ({OAI: completion(finish, content="a")} if finish else {})
        | ({ANT: message(text("a"), stop=word, **more)} if word else {}),
        cells,
    )


def heard(oai: str | None, ant: str | None) -> tuple[Told, Told]:
    return (
        Heard(choice(oai, content="a"), note=f"`{oai}`") if oai else NotSayable(NO_WORD),
        Heard({"stop_reason": ant, "content": [text("a")]}, note=f"`{ant}`")
        if ant
        else NotSayable(NO_WORD),
    )


STOPS = [
    stop("stop", "end_turn", *heard("stop", "end_turn")),
    stop("length", "max_tokens", *heard("length", "max_tokens")),
    stop("content_filter", None, *heard(None, "refusal")),
    stop(None, "stop_sequence", *heard("stop", None), stop_sequence="X"),
    stop(None, "pause_turn", *heard("stop", None)),
    stop(None, "refusal", *heard("content_filter", None)),
    stop(None, "model_context_window_exceeded", *heard("length", None)),
]

OAI_USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 60},
    "completion_tokens_details": {"reasoning_tokens": 30},
}
ANT_USAGE = {
    "input_tokens": 40,
    "cache_creation_input_tokens": 7,
    "cache_read_input_tokens": 60,
    "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 2},
    "output_tokens": 50,
    "output_tokens_details": {"thinking_tokens": 30},
}

ACCOUNTS = [
    Tell(
        "usage with cache and reasoning",
        {
            OAI: completion(content="a", usage=OAI_USAGE),
            ANT: message(text("a"), usage=ANT_USAGE),
        },
        SAME
        | {
            (OAI, ANT): Heard(
                {
                    "usage": {
                        "prompt_tokens": 107,
                        "completion_tokens": 50,
                        "total_tokens": 157,
                        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 7},
                        "completion_tokens_details": {"reasoning_tokens": 30},
                    }
                },
                note="prompt tokens include the cache",
            ),
            (ANT, OAI): Heard(
                {
                    "usage": {
                        "input_tokens": 40,
                        "cache_read_input_tokens": 60,
                        "cache_creation_input_tokens": 0,
                        "output_tokens": 50,
                        "output_tokens_details": {"thinking_tokens": 30},
                    }
                },
                note="input tokens exclude the cache",
            ),
        },
    ),
    Tell(
        "error in a reply or midway in a stream",
        {
            OAI: {"error": {"message": "Busy", "type": "overloaded_error", "code": None}},
            ANT: {"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}},
        },
        SAME
        | {
            (OAI, ANT): Heard({"error": {"message": "Busy", "type": "overloaded_error"}}),
            (ANT, OAI): Heard({"error": {"message": "Busy", "type": "overloaded_error"}}),
        },
    ),
]

TELLS = [*CONTENT, *STOPS, *ACCOUNTS]
