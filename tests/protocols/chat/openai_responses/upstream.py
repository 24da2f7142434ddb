"""What an upstream that speaks Responses sends, made after the API reference's examples."""

from typing import Any

from meterway.kit import json, sse

USAGE = {
    "input_tokens": 37,
    "input_tokens_details": {"cached_tokens": 16, "cache_write_tokens": 4},
    "output_tokens": 11,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 48,
}
SECRET = "gAAAAB-only-the-vendor-reads-this"
TEXT = {"type": "output_text", "text": "Hello, wörld", "annotations": [], "logprobs": []}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [TEXT],
}
REFUSAL = {**MESSAGE, "content": [{"type": "refusal", "refusal": "I can't."}]}
THOUGHT = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "First."}, {"type": "summary_text", "text": "So"}],
    "encrypted_content": SECRET,
}


def call(number: int, arguments: str = '{"city":"Ulm"}') -> dict[str, Any]:
    return {
        "id": f"fc_{number}",
        "type": "function_call",
        "status": "completed",
        "call_id": f"call_{number}",
        "name": "weather",
        "arguments": arguments,
    }


def response(*items: Any, **fields: Any) -> dict[str, Any]:
    """A whole response as OpenAI tells it, with a few of the fields it repeats."""
    return {
        "id": "resp_up",
        "object": "response",
        "created_at": 1741476777,
        "status": "completed",
        "completed_at": 1741476778,
        "error": None,
        "incomplete_details": None,
        "model": "gpt-5-2025-08-07",
        "output": list(items),
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": False,
        "service_tier": "default",
        "tool_choice": "auto",
        "tools": [],
        "usage": USAGE,
        "user": None,
        "metadata": {},
        **fields,
    }


def body(*items: Any, **fields: Any) -> bytes:
    return json.encode(response(*items, **fields))


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields}


def stream(*events: dict[str, Any]) -> bytes:
    """Render events, numbered in order."""
    return b"".join(
        sse.render(
            json.encode({"type": one["type"], "sequence_number": number, **one}),
            one["type"].encode(),
        )
        for number, one in enumerate(events)
    )


def opening() -> list[dict[str, Any]]:
    begun = response(status="in_progress", completed_at=None, usage=None)
    return [
        event("response.created", response=begun),
        event("response.in_progress", response=begun),
    ]


def told(place: int, item: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of one item, its texts in two pieces."""
    at = {"output_index": place, "item_id": item["id"]}
    inner: list[dict[str, Any]] = []
    empty = {**item, "status": "in_progress"}
    match item["type"]:
        case "message":
            empty["content"] = []
            for number, part in enumerate(item["content"]):
                inner += _part(part, {**at, "content_index": number})
        case "reasoning":
            empty = {**item, "summary": [], "encrypted_content": SECRET}
            for number, part in enumerate(item["summary"]):
                where = {**at, "summary_index": number}
                inner += [
                    event("response.reasoning_summary_part.added", **where, part=part),
                    *(
                        event("response.reasoning_summary_text.delta", **where, delta=piece)
                        for piece in pieces(part["text"])
                    ),
                    event("response.reasoning_summary_part.done", **where, part=part),
                ]
        case "function_call":
            empty["arguments"] = ""
            inner += [
                event("response.function_call_arguments.delta", **at, delta=piece)
                for piece in pieces(item["arguments"])
            ]
            inner.append(
                event("response.function_call_arguments.done", **at, arguments=item["arguments"])
            )
    return [
        event("response.output_item.added", output_index=place, item=empty),
        *inner,
        event("response.output_item.done", output_index=place, item=item),
    ]


def _part(part: dict[str, Any], where: dict[str, Any]) -> list[dict[str, Any]]:
    kind, key = ("refusal", "refusal") if part["type"] == "refusal" else ("output_text", "text")
    more: dict[str, Any] = {} if kind == "refusal" else {"logprobs": []}
    return [
        event("response.content_part.added", **where, part={**part, key: ""}),
        *(
            event(f"response.{kind}.delta", **where, delta=piece, **more)
            for piece in pieces(part[key])
        ),
        event(f"response.{kind}.done", **where, **{key: part[key]}, **more),
        event("response.content_part.done", **where, part=part),
    ]


def pieces(text: str) -> tuple[str, str]:
    middle = len(text) // 2
    return text[:middle], text[middle:]


def whole_stream(*items: dict[str, Any], end: str = "completed", **fields: Any) -> bytes:
    """A whole stream that tells `items` and ends as `end` says."""
    middle = [one for place, item in enumerate(items) for one in told(place, item)]
    last = event(f"response.{end}", response=response(*items, status=end, **fields))
    return stream(*opening(), *middle, last)


EXAMPLES = {
    "text": (MESSAGE,),
    "refusal": (REFUSAL,),
    "thought": (THOUGHT, MESSAGE),
    "calls": (THOUGHT, MESSAGE, call(1), call(2, '{"city":"Köln"}')),
    "hidden thought": ({**THOUGHT, "summary": []}, call(1)),
}
