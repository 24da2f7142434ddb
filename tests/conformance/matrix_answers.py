"""Replies as the dialects spell them: what upstreams answer, and what clients should hear."""

from typing import Any

from tests.conformance.matrix_wire import Wire

ID, MODEL = "reply-1", "served-1"

# -- what upstreams answer -------------------------------------------------------------------------


def completion(finish: str = "stop", *, usage: Wire | None = None, **message: Any) -> Wire:
    """A chat completion of one choice."""
    return {
        "id": ID,
        "object": "chat.completion",
        "created": 1700000000,
        "model": MODEL,
        "choices": [choice(0, finish, **message)],
        "usage": usage or {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
    }


def choice(index: int, finish: str = "stop", **message: Any) -> Wire:
    return {
        "index": index,
        "message": {"role": "assistant", "content": None, "refusal": None, **message},
        "logprobs": None,
        "finish_reason": finish,
    }


def response(*items: Wire, reason: str | None = None, usage: Wire | None = None) -> Wire:
    """A response, incomplete where it has a reason."""
    return {
        "id": ID,
        "object": "response",
        "created_at": 1700000000,
        "model": MODEL,
        "status": "incomplete" if reason else "completed",
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "output": list(items),
        "usage": usage
        or {
            "input_tokens": 9,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 4,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 13,
        },
    }


def r_message(*parts: Wire, status: str = "completed") -> Wire:
    """A response's item of words."""
    item = {"id": "msg_1", "type": "message", "status": status, "role": "assistant"}
    return {**item, "content": list(parts)}


def r_output(words: str, **more: Any) -> Wire:
    return {"type": "output_text", "text": words, "annotations": [], **more}


def r_called(id_: str, name: str, arguments: str) -> Wire:
    item = {"id": f"fc_{id_}", "type": "function_call", "status": "completed"}
    return {**item, "call_id": id_, "name": name, "arguments": arguments}


def message(*content: Wire, stop: str = "end_turn", usage: Wire | None = None, **more: Any) -> Wire:
    """An Anthropic message."""
    return {
        "id": ID,
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": list(content),
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": usage or {"input_tokens": 9, "output_tokens": 4},
        **more,
    }


def use(id_: str, name: str, given: Wire) -> Wire:
    return {"type": "tool_use", "id": id_, "name": name, "input": given}


def generated(
    *parts: Wire, finish: str = "STOP", usage: Wire | None = None, **candidate: Any
) -> Wire:
    """A reply of Gemini's with one candidate."""
    return of_candidates(g_candidate(0, *parts, finish=finish, **candidate), usage=usage)


def of_candidates(*candidates: Wire, usage: Wire | None = None) -> Wire:
    counts = {"promptTokenCount": 9, "candidatesTokenCount": 4, "totalTokenCount": 13}
    named = {"modelVersion": MODEL, "responseId": ID}
    return {"candidates": list(candidates), "usageMetadata": usage or counts, **named}


def g_candidate(index: int, *parts: Wire, finish: str = "STOP", **more: Any) -> Wire:
    content = {"parts": list(parts), "role": "model"}
    return {"content": content, "finishReason": finish, "index": index, **more}


def g_called(id_: str, name: str, args: Wire, **more: Any) -> Wire:
    return {"functionCall": {"id": id_, "name": name, "args": args}, **more}


# -- what clients hear -----------------------------------------------------------------------------


def o_heard(finish: str = "stop", **said: Any) -> Wire:
    return {"choices": [{"index": 0, "message": said, "finish_reason": finish}]}


def r_heard(*items: Wire, reason: str | None = None) -> Wire:
    """A response whose items are those."""
    ended = {"status": "incomplete", "incomplete_details": {"reason": reason}}
    return {**(ended if reason else {"status": "completed"}), "output": list(items)}


def r_spoken(words: str) -> Wire:
    return {"type": "message", "content": [{"type": "output_text", "text": words}]}


def g_heard(*parts: Wire, finish: Any = "STOP") -> Wire:
    return {"candidates": [{"content": {"parts": list(parts)}, "finishReason": finish}]}


def t_heard(words: str, finish: str = "stop") -> Wire:
    """A completion of OpenAI's legacy dialect."""
    return {"choices": [{"text": words, "finish_reason": finish}]}


def c_heard(words: str, stop: str = "stop_sequence") -> Wire:
    """A completion of Anthropic's legacy dialect."""
    return {"completion": words, "stop_reason": stop}
