"""The dialect matrix: how replies end, what they used, and errors in place of them."""

from collections.abc import Mapping
from typing import Any

from meterway.protocols.dialects import Dialect
from tests.conformance.matrix_answers import (
    c_heard,
    completion,
    g_heard,
    generated,
    message,
    o_heard,
    r_heard,
    r_message,
    r_output,
    r_spoken,
    response,
    t_heard,
)
from tests.conformance.matrix_cells import (
    ABSENT,
    ANYTHING,
    CHAT,
    COMPLETE,
    COMPLETIONS,
    GEMINI,
    MESSAGES,
    RESPONSES,
    Heard,
    Hearing,
    Tell,
    answers,
    hear,
)
from tests.conformance.matrix_replies import NO_WORD
from tests.conformance.matrix_wire import Wire, g_text, text

# -- how replies end -------------------------------------------------------------------------------


def told(words: Mapping[str, str]) -> dict[Dialect, Hearing]:
    """What clients hear of a reply that says "a" and ended for these reasons, in their words."""
    reason = None if words["responses"] == "completed" else words["responses"]
    return {
        CHAT: Heard(o_heard(words["chat"], content="a"), note=f"`{words['chat']}`"),
        RESPONSES: Heard(r_heard(r_spoken("a"), reason=reason), note=f"`{words['responses']}`"),
        MESSAGES: Heard(
            {"stop_reason": words["messages"], "content": [text("a")]},
            note=f"`{words['messages']}`",
        ),
        GEMINI: Heard(g_heard(g_text("a"), finish=words["gemini"]), note=f"`{words['gemini']}`"),
        COMPLETIONS: Heard(t_heard("a", words["chat"]), note=f"`{words['chat']}`"),
        COMPLETE: Heard(c_heard("a", words["complete"]), note=f"`{words['complete']}`"),
    }


def stop(
    meaning: str,
    *,
    chat: str | None = None,
    responses: str | None = None,
    messages: str | None = None,
    gemini: str | None = None,
    heard: dict[str, str],
    **more: Any,
) -> Tell:
    """A reason to stop: what each upstream calls it, and what each client is told."""
    status = "incomplete" if responses not in {None, "completed"} else "completed"
    reason = None if responses == "completed" else responses
    spoken = {CHAT: chat, RESPONSES: responses, MESSAGES: messages, GEMINI: gemini}
    hearing = told(heard)
    others = {
        client: one
        for client, one in hearing.items()
        if any(word for upstream, word in spoken.items() if upstream is not client)
    }
    return Tell(
        f"stop reason: {meaning}",
        answers(
            chat=completion(chat, content="a") if chat else NO_WORD,
            responses=response(r_message(r_output("a"), status=status), reason=reason)
            if responses
            else NO_WORD,
            messages=message(text("a"), stop=messages, **more) if messages else NO_WORD,
            gemini=generated(g_text("a"), finish=gemini) if gemini else NO_WORD,
        ),
        others,
    )


ENDED = {
    "chat": "stop",
    "responses": "completed",
    "messages": "end_turn",
    "gemini": "STOP",
    "complete": "stop_sequence",
}
CUT = {
    "chat": "length",
    "responses": "max_output_tokens",
    "messages": "max_tokens",
    "gemini": "MAX_TOKENS",
    "complete": "max_tokens",
}
FILTERED = {
    "chat": "content_filter",
    "responses": "content_filter",
    "messages": "refusal",
    "gemini": "SAFETY",
    "complete": "refusal",
}
STOPS = [
    stop(
        "the end",
        chat="stop",
        responses="completed",
        messages="end_turn",
        gemini="STOP",
        heard=ENDED,
    ),
    stop(
        "the limit",
        chat="length",
        responses="max_output_tokens",
        messages="max_tokens",
        gemini="MAX_TOKENS",
        heard=CUT,
    ),
    stop(
        "a filter",
        chat="content_filter",
        responses="content_filter",
        gemini="PROHIBITED_CONTENT",
        heard=FILTERED,
    ),
    stop("a stop sequence", messages="stop_sequence", heard=ENDED, stop_sequence="X"),
    stop("a pause", messages="pause_turn", heard=ENDED),
    stop("a refusal without words", messages="refusal", heard=FILTERED),
    stop("a full context", messages="model_context_window_exceeded", heard=CUT),
    stop("a call the model got wrong", gemini="MALFORMED_FUNCTION_CALL", heard=ENDED),
]

# -- what they used, and errors --------------------------------------------------------------------

USED: dict[Dialect, Wire] = {
    CHAT: {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 60},
        "completion_tokens_details": {"reasoning_tokens": 30},
    },
    RESPONSES: {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 0},
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 30},
        "total_tokens": 150,
    },
    MESSAGES: {
        "input_tokens": 40,
        "cache_creation_input_tokens": 7,
        "cache_read_input_tokens": 60,
        "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 2},
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 30},
    },
    GEMINI: {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 60,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 30,
        "totalTokenCount": 150,
    },
}
O_WRITTEN = {
    "prompt_tokens": 107,
    "completion_tokens": 50,
    "total_tokens": 157,
    "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 7},
    "completion_tokens_details": {"reasoning_tokens": 30},
}
WITH_CACHE, WITHOUT_CACHE = "the prompt includes the cache", "the input excludes the cache"
ACCOUNTS = [
    Tell(
        "usage with cache and reasoning",
        answers(
            chat=completion(content="a", usage=USED[CHAT]),
            responses=response(r_message(r_output("a")), usage=USED[RESPONSES]),
            messages=message(text("a"), usage=USED[MESSAGES]),
            gemini=generated(g_text("a"), usage=USED[GEMINI]),
        ),
        hear(
            chat=Heard({"usage": USED[CHAT]}, note=WITH_CACHE),
            responses=Heard({"usage": USED[RESPONSES]}, note=WITH_CACHE),
            messages=Heard(
                {
                    "usage": {
                        "input_tokens": 40,
                        "cache_read_input_tokens": 60,
                        "cache_creation_input_tokens": 0,
                        "output_tokens": 50,
                        "output_tokens_details": {"thinking_tokens": 30},
                    }
                },
                note=WITHOUT_CACHE,
            ),
            gemini=Heard({"usageMetadata": USED[GEMINI]}, note=WITH_CACHE),
            completions=Heard({"usage": USED[CHAT]}, note=WITH_CACHE),
            complete=Heard({"usage": ABSENT}, is_told=False),
        ),
        pairs={
            (CHAT, MESSAGES): Heard({"usage": O_WRITTEN}, note=WITH_CACHE),
            (COMPLETIONS, MESSAGES): Heard({"usage": O_WRITTEN}, note=WITH_CACHE),
            (RESPONSES, MESSAGES): Heard(
                {
                    "usage": {
                        "input_tokens": 107,
                        "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 7},
                        "output_tokens": 50,
                        "output_tokens_details": {"reasoning_tokens": 30},
                        "total_tokens": 157,
                    }
                },
                note=WITH_CACHE,
            ),
            (GEMINI, MESSAGES): Heard(
                {
                    "usageMetadata": {
                        **USED[GEMINI],
                        "promptTokenCount": 107,
                        "totalTokenCount": 157,
                    }
                },
                note=WITH_CACHE,
            ),
        },
    ),
    Tell(
        "usage of sound",
        answers(
            chat=completion(
                content="a",
                usage={
                    "prompt_tokens": 100,
                    "completion_tokens": 4,
                    "total_tokens": 104,
                    "prompt_tokens_details": {"audio_tokens": 30},
                },
            ),
            responses=NO_WORD,
            messages=NO_WORD,
            gemini=generated(
                g_text("a"),
                usage={
                    "promptTokenCount": 100,
                    "candidatesTokenCount": 4,
                    "totalTokenCount": 104,
                    "promptTokensDetails": [
                        {"modality": "TEXT", "tokenCount": 70},
                        {"modality": "AUDIO", "tokenCount": 30},
                    ],
                },
            ),
        ),
        hear(
            chat={"usage": {"prompt_tokens": 100, "prompt_tokens_details": {"audio_tokens": 30}}},
            responses=Heard({"usage": {"input_tokens": 100}}, note="counted as input"),
            messages=Heard({"usage": {"input_tokens": 100}}, note="counted as input"),
            gemini={
                "usageMetadata": {
                    "promptTokenCount": 100,
                    "promptTokensDetails": [
                        {"modality": "TEXT", "tokenCount": 70},
                        {"modality": "AUDIO", "tokenCount": 30},
                    ],
                }
            },
            completions={"usage": {"prompt_tokens": 100}},
            complete=Heard({"usage": ABSENT}, is_told=False),
        ),
    ),
    Tell(
        "the tier it was served in",
        answers(
            chat=completion(content="a") | {"service_tier": "flex"},
            responses=response(r_message(r_output("a"))) | {"service_tier": "flex"},
            messages=NO_WORD,
            gemini=generated(
                g_text("a"),
                usage={
                    "promptTokenCount": 9,
                    "candidatesTokenCount": 4,
                    "totalTokenCount": 13,
                    "serviceTier": "flex",
                },
            ),
        ),
        hear(
            chat={"service_tier": "flex"},
            responses={"service_tier": "flex"},
            messages=Heard({"service_tier": ABSENT}, is_told=False),
            gemini={"usageMetadata": {"serviceTier": "flex"}},
            completions=Heard({"service_tier": ABSENT}, is_told=False),
            complete=Heard({"service_tier": ABSENT}, is_told=False),
        ),
    ),
    Tell(
        "error in a reply or midway in a stream",
        answers(
            chat={"error": {"message": "Busy", "type": "overloaded_error", "code": None}},
            responses=response()
            | {"status": "failed", "error": {"code": "server_error", "message": "Busy"}},
            messages={"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}},
            gemini={"error": {"code": 503, "message": "Busy", "status": "UNAVAILABLE"}},
        ),
        hear(
            chat={"error": {"message": "Busy", "type": ANYTHING}},
            responses={"status": "failed", "error": {"code": "server_error", "message": "Busy"}},
            messages={"error": {"message": "Busy", "type": ANYTHING}},
            gemini={"error": {"message": "Busy", "status": ANYTHING}},
            completions={"error": {"message": "Busy", "type": ANYTHING}},
            complete={"error": {"message": "Busy", "type": ANYTHING}},
        ),
        pairs={
            (CHAT, MESSAGES): Heard({"error": {"message": "Busy", "type": "overloaded_error"}}),
            (MESSAGES, CHAT): Heard({"error": {"message": "Busy", "type": "overloaded_error"}}),
        },
    ),
]
