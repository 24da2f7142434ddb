"""A kept response, told again as the stream it could have been.

Follows https://platform.openai.com/docs/api-reference/responses-streaming: the same events in the
same order, each text as one delta. The numbers are those of this telling, and the same each time.
"""

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import msgspec

from meterway.kit import json, sse

_Json: TypeAlias = dict[str, Any]
_ENDS: Final = {
    "completed": "response.completed",
    "incomplete": "response.incomplete",
    "failed": "response.failed",
}
_BEGUN: Final[_Json] = {"status": "in_progress", "output": [], "usage": None, "completed_at": None}
# By an item's type: the field its stream grows, and the name of the events that do it.
_GROWING: Final = {
    "function_call": ("arguments", "response.function_call_arguments"),
    "custom_tool_call": ("input", "response.custom_tool_call_input"),
}


def told_again(response: bytes, after: int = -1) -> list[bytes]:
    """Return the events of a response whose numbers are larger than `after`, each as it is sent.

    `response` is the whole object. One that has not ended is told as far as it came, and its
    stream has no end.
    """
    return [
        sse.render(json.encode({**event, "sequence_number": number}), event["type"].encode())
        for number, event in enumerate(_events(msgspec.json.decode(response)))
        if number > after
    ]


def _events(response: _Json) -> Iterator[_Json]:
    begun = {**response, **_BEGUN}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(response.get("output") or ()):
        yield from _item(item, index)
    if (end := _ENDS.get(response.get("status", ""))) is not None:
        yield {"type": end, "response": response}


def _item(item: _Json, index: int) -> Iterator[_Json]:
    kind, place = item.get("type"), {"item_id": item.get("id", ""), "output_index": index}
    begun = {**item, "status": "in_progress"} if "status" in item else dict(item)
    middle: list[_Json] = []
    if kind == "message":
        begun["content"] = []
        for number, part in enumerate(item.get("content") or ()):
            middle += _part(part, {**place, "content_index": number})
    elif kind == "reasoning":
        begun["summary"] = []
        for number, part in enumerate(item.get("summary") or ()):
            middle += _summary(part, {**place, "summary_index": number})
    elif kind in _GROWING:
        field, name = _GROWING[kind]
        begun[field] = ""
        middle += _grown(name, field, item.get(field, ""), place)
    yield {"type": "response.output_item.added", "output_index": index, "item": begun}
    yield from middle
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _part(part: _Json, place: _Json) -> list[_Json]:
    field = "refusal" if part.get("type") == "refusal" else "text"
    name = "response.refusal" if field == "refusal" else "response.output_text"
    more = {} if field == "refusal" else {"logprobs": part.get("logprobs") or []}
    grown = [{**event, **more} for event in _grown(name, field, part.get(field, ""), place)]
    return [
        {"type": "response.content_part.added", **place, "part": {**part, field: ""}},
        *grown,
        {"type": "response.content_part.done", **place, "part": part},
    ]


def _summary(part: _Json, place: _Json) -> list[_Json]:
    name = "response.reasoning_summary_part"
    return [
        {"type": f"{name}.added", **place, "part": {**part, "text": ""}},
        *_grown("response.reasoning_summary_text", "text", part.get("text", ""), place),
        {"type": f"{name}.done", **place, "part": part},
    ]


def _grown(name: str, field: str, text: str, place: _Json) -> list[_Json]:
    """Tell a text as one delta and its end."""
    return [
        {"type": f"{name}.delta", **place, "delta": text},
        {"type": f"{name}.done", **place, field: text},
    ]
