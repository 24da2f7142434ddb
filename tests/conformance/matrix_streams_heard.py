"""Streams for the dialect matrix: what a client has in hand once it gathered all events.

Written from the vendors' documentation alone, so that the codecs are judged by somebody else.
"""

from typing import Any

import msgspec

from meterway.kit import sse
from meterway.protocols.dialects import Dialect

Json = Any


def gathered(dialect: Dialect, stream: bytes) -> Json:
    """The reply a client of `dialect` gathers from `stream`, with `error` where it was told one."""
    blocks = sse.Splitter().feed(stream)
    parsed = [event for block in blocks if (event := sse.parse(block)) is not None]
    return _READERS[dialect]([msgspec.json.decode(one.data) for one in parsed if one.data != _DONE])


_DONE = b"[DONE]"


def _from_anthropic(events: list[Json]) -> Json:
    message: Json = {}
    inputs: dict[int, str] = {}
    for event in events:
        match event["type"]:
            case "message_start":
                message = event["message"]
            case "content_block_start":
                message["content"].append(event["content_block"])
                inputs[event["index"]] = ""
            case "content_block_delta":
                _grow(message["content"][event["index"]], event["delta"], inputs, event["index"])
            case "message_delta":
                message |= event["delta"]
                message["usage"] |= event["usage"]
            case "error":
                message["error"] = event["error"]
    for index, text in inputs.items():
        if text:
            message["content"][index]["input"] = msgspec.json.decode(text)
    return message


def _grow(block: Json, delta: Json, inputs: dict[int, str], index: int) -> None:
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "signature_delta":
            block["signature"] = delta["signature"]
        case "input_json_delta":
            inputs[index] += delta["partial_json"]


def _from_openai(events: list[Json]) -> Json:
    reply: Json = {"choices": []}
    for chunk in events:
        reply |= {key: chunk[key] for key in chunk if key != "choices" and chunk[key] is not None}
        for piece in chunk.get("choices", ()):
            while len(reply["choices"]) <= piece["index"]:
                index = len(reply["choices"])
                reply["choices"].append({"index": index, "message": {"content": None}})
            _grow_choice(reply["choices"][piece["index"]], piece)
    return reply


def _grow_choice(choice: Json, piece: Json) -> None:
    message, delta = choice["message"], piece["delta"]
    for key in ("content", "refusal", "reasoning_content"):
        if delta.get(key):
            message[key] = (message.get(key) or "") + delta[key]
    for detail in delta.get("reasoning_details") or ():
        _grow_details(message.setdefault("reasoning_details", []), detail)
    for call in delta.get("tool_calls") or ():
        calls = message.setdefault("tool_calls", [])
        if call["index"] == len(calls):
            calls.append({**call, "function": dict(call["function"])})
        else:
            calls[call["index"]]["function"]["arguments"] += call["function"]["arguments"]
    if piece.get("logprobs"):
        choice["logprobs"] = piece["logprobs"]
    if piece.get("finish_reason"):
        choice["finish_reason"] = piece["finish_reason"]


def _grow_details(details: list[Json], detail: Json) -> None:
    """Add a detail as OpenRouter says: those of one index are one."""
    last = details[-1] if details else {}
    if "text" in detail and last.get("index") == detail["index"]:
        last |= {**detail, "text": last["text"] + detail["text"]}
    else:
        details.append(dict(detail))


def _from_responses(events: list[Json]) -> Json:
    """The response of the last event, once its items are those that were told before."""
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    items: dict[int, Json] = {}
    texts: dict[int, str] = {}
    for event in events:
        place = event.get("output_index", 0)
        if event["type"].endswith(".delta"):
            texts[place] = texts.get(place, "") + event["delta"]
        elif event["type"] == "response.output_item.done":
            items[place] = event["item"]
    last = events[-1]["response"]
    assert events[-1]["type"] == f"response.{last['status']}"
    if last["status"] != "failed":
        assert last["output"] == [items[place] for place in sorted(items)]
        assert texts == {place: text for place, one in items.items() if (text := _said(one))}
    return last


def _said(item: Json) -> Json:
    match item["type"]:
        case "message":
            return "".join(
                part.get("text", "") + part.get("refusal", "") for part in item["content"]
            )
        case "reasoning":
            return "".join(part["text"] for part in item["summary"])
        case _:
            return item.get("arguments", "") + item.get("input", "")


def _from_gemini(chunks: list[Json]) -> Json:
    reply: Json = {}
    candidates: dict[int, Json] = {}
    for chunk in chunks:
        reply |= chunk
        for told in chunk.get("candidates", ()):
            one = candidates.setdefault(told["index"], {"content": {"role": "model", "parts": []}})
            one |= {key: value for key, value in told.items() if key != "content"}
            for part in told.get("content", {}).get("parts", ()):
                _grow_parts(one["content"]["parts"], part)
    return reply | (
        {"candidates": [candidates[at] for at in sorted(candidates)]} if candidates else {}
    )


def _grow_parts(parts: list[Json], part: Json) -> None:
    """Add a part as Google's own clients do: a text goes on in one of its kind, unless signed."""
    last = parts[-1] if parts else {}
    if "text" not in part:
        parts.append(dict(part))
    elif (
        "text" in last
        and last.get("thought") == part.get("thought")
        and ("thoughtSignature" not in last)
    ):
        last |= {**part, "text": last["text"] + part["text"]}
    elif part["text"] or "thoughtSignature" in part:
        parts.append(dict(part))


def _from_completions(chunks: list[Json]) -> Json:
    reply: Json = {}
    choices: dict[int, Json] = {}
    for chunk in chunks:
        reply |= {key: value for key, value in chunk.items() if value is not None}
        for told in chunk.get("choices", ()):
            one = choices.setdefault(told["index"], {"text": "", "logprobs": None})
            one["text"] += told["text"]
            one["finish_reason"] = told["finish_reason"]
            one["logprobs"] = told["logprobs"] or one["logprobs"]
    return reply | {"choices": [{"index": at, **choices[at]} for at in sorted(choices)]}


def _from_complete(events: list[Json]) -> Json:
    reply: Json = {"completion": ""}
    for event in events:
        if event["type"] == "completion":
            reply |= {**event, "completion": reply["completion"] + event["completion"]}
        elif event["type"] == "error":
            reply["error"] = event["error"]
    return reply


_READERS = {
    Dialect.OPENAI_CHAT: _from_openai,
    Dialect.OPENAI_RESPONSES: _from_responses,
    Dialect.ANTHROPIC_MESSAGES: _from_anthropic,
    Dialect.GEMINI: _from_gemini,
    Dialect.OPENAI_COMPLETIONS: _from_completions,
    Dialect.ANTHROPIC_COMPLETE: _from_complete,
}
