"""Streams for the dialect matrix: whole replies cut into events as vendors do.

Written from the vendors' documentation alone, so that the codecs are judged by somebody else.
"""

from typing import Any

import msgspec

from meterway.kit import sse
from meterway.protocols.dialects import Dialect

Json = Any


def pieces(text: str) -> list[str]:
    middle = len(text) // 2
    return [piece for piece in (text[:middle], text[middle:]) if piece]


def stream_of(dialect: Dialect, reply: Json) -> bytes:
    """The stream an upstream of `dialect` would send instead of `reply`."""
    return _STREAMS[dialect](reply)


def _event(value: Json) -> bytes:
    return sse.render(msgspec.json.encode(value), value["type"].encode())


def _anthropic_stream(reply: Json) -> bytes:
    if reply["type"] == "error":
        return _event(reply)
    usage = reply["usage"]
    start = {**reply, "content": [], "stop_reason": None, "stop_sequence": None}
    start.pop("stop_details", None)
    start["usage"] = {**usage, "output_tokens": 1}
    start["usage"].pop("output_tokens_details", None)
    events = [_event({"type": "message_start", "message": start})]
    for index, block in enumerate(reply["content"]):
        events += _anthropic_block(index, block)
    delta = {key: reply.get(key) for key in ("stop_reason", "stop_sequence", "stop_details")}
    counts = {key: value for key, value in usage.items() if key.startswith("output_tokens")}
    events.append(_event({"type": "message_delta", "delta": delta, "usage": counts}))
    return b"".join(events) + _event({"type": "message_stop"})


def _anthropic_block(index: int, block: Json) -> list[bytes]:
    empty = {"text": "", "thinking": "", "signature": "", "input": {}}
    start = {key: empty.get(key, value) for key, value in block.items()}
    deltas: list[Json] = []
    match block["type"]:
        case "text":
            deltas = [{"type": "text_delta", "text": one} for one in pieces(block["text"])]
        case "thinking":
            deltas = [
                {"type": "thinking_delta", "thinking": one} for one in pieces(block["thinking"])
            ]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        case "tool_use":
            text = msgspec.json.encode(block["input"]).decode()
            deltas = [{"type": "input_json_delta", "partial_json": one} for one in pieces(text)]
    return [
        _event({"type": "content_block_start", "index": index, "content_block": start}),
        *(
            _event({"type": "content_block_delta", "index": index, "delta": delta})
            for delta in deltas
        ),
        _event({"type": "content_block_stop", "index": index}),
    ]


def _openai_stream(reply: Json) -> bytes:
    if "error" in reply:
        return sse.render(msgspec.json.encode(reply))
    head = {key: reply[key] for key in ("id", "created", "model") if key in reply}
    head |= {"object": "chat.completion.chunk"}
    if "service_tier" in reply:
        head["service_tier"] = reply["service_tier"]
    chunks: list[Json] = []
    for choice in reply["choices"]:
        index = choice["index"]
        deltas = [{"role": "assistant", "content": ""}, *_openai_deltas(choice["message"])]
        chunks += [
            {**head, "choices": [{"index": index, "delta": delta, "finish_reason": None}]}
            for delta in deltas
        ]
        if choice.get("logprobs"):
            said = next(c for c in chunks if c["choices"][0]["delta"].get("content"))
            said["choices"][0]["logprobs"] = choice["logprobs"]
        last = {"index": index, "delta": {}, "finish_reason": choice["finish_reason"]}
        chunks.append({**head, "choices": [last]})
    chunks.append({**head, "choices": [], "usage": reply["usage"]})
    rendered = [sse.render(msgspec.json.encode(chunk)) for chunk in chunks]
    return b"".join(rendered) + sse.render(b"[DONE]")


def _openai_deltas(message: Json) -> list[Json]:
    deltas: list[Json] = []
    for key in ("reasoning_content", "content", "refusal"):
        deltas += [{key: one} for one in pieces(message.get(key) or "")]
    for index, call in enumerate(message.get("tool_calls") or ()):
        arguments = call["function"]["arguments"]
        opened = {**call, "index": index, "function": {**call["function"], "arguments": ""}}
        deltas.append({"tool_calls": [opened]})
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": one}}]}
            for one in pieces(arguments)
        ]
    return deltas


def _responses_stream(reply: Json) -> bytes:
    if reply.get("error"):
        failed = {"type": "response.failed", "response": {**reply, "output": []}}
        return _numbered([failed])
    begun = {**reply, "status": "in_progress", "output": [], "usage": None}
    begun |= {"incomplete_details": None}
    events: list[Json] = [
        {"type": f"response.{kind}", "response": begun} for kind in ("created", "in_progress")
    ]
    for place, item in enumerate(reply["output"]):
        events += [{**event, "output_index": place} for event in _responses_item(item)]
    events.append({"type": f"response.{reply['status']}", "response": reply})
    return _numbered(events)


def _numbered(events: list[Json]) -> bytes:
    return b"".join(_event({**one, "sequence_number": at}) for at, one in enumerate(events))


def _responses_item(item: Json) -> list[Json]:
    grown: list[Json] = []
    empty = {"content": [], "summary": [], "arguments": "", "input": "", "status": "in_progress"}
    added = {key: empty.get(key, value) for key, value in item.items()}
    added.pop("encrypted_content", None)
    match item["type"]:
        case "message":
            grown = [
                {"content_index": at, **event}
                for at, part in enumerate(item["content"])
                for event in _responses_part(part)
            ]
        case "reasoning":
            grown = [
                {
                    "type": "response.reasoning_summary_text.delta",
                    "summary_index": at,
                    "delta": one,
                }
                for at, part in enumerate(item["summary"])
                for one in pieces(part["text"])
            ]
        case "function_call":
            kind = "response.function_call_arguments"
            grown = [{"type": f"{kind}.delta", "delta": one} for one in pieces(item["arguments"])]
            grown.append({"type": f"{kind}.done", "arguments": item["arguments"]})
        case "custom_tool_call":
            kind = "response.custom_tool_call_input"
            grown = [{"type": f"{kind}.delta", "delta": one} for one in pieces(item["input"])]
            grown.append({"type": f"{kind}.done", "input": item["input"]})
        case _:
            pass  # told whole
    whole = {"type": "response.output_item.done", "item": item}
    events: list[Json] = [
        {"type": "response.output_item.added", "item": added},
        *grown,
        whole,
    ]
    named = {"item_id": item["id"]}
    return [event if "item" in event else event | named for event in events]


def _responses_part(part: Json) -> list[Json]:
    key = "refusal" if part["type"] == "refusal" else "text"
    kind = f"response.{part['type']}"
    deltas = [{"type": f"{kind}.delta", "delta": one} for one in pieces(part[key])]
    if part.get("logprobs"):
        deltas[0]["logprobs"] = part["logprobs"]
    empty = {**part, key: ""} | ({"logprobs": []} if "logprobs" in part else {})
    return [
        {"type": "response.content_part.added", "part": empty},
        *deltas,
        {"type": f"{kind}.done", key: part[key]},
        {"type": "response.content_part.done", "part": part},
    ]


def gemini_chunks(reply: Json) -> list[Json]:
    """The chunks Google sends instead of `reply`: calls whole, texts in pieces."""
    if "candidates" not in reply:
        return [reply]
    usage = reply["usageMetadata"]
    head = {key: reply[key] for key in ("modelVersion", "responseId") if key in reply}
    head |= {"usageMetadata": {"promptTokenCount": usage["promptTokenCount"], "totalTokenCount": 1}}
    chunks = []
    for candidate in reply["candidates"]:
        index = {key: candidate[key] for key in ("index",) if key in candidate}
        for part in candidate["content"]["parts"]:
            chunks += [
                {**head, "candidates": [{"content": {"role": "model", "parts": [one]}, **index}]}
                for one in _gemini_pieces(part)
            ]
        chunks[-1]["candidates"][0] |= {
            key: candidate[key]
            for key in ("finishReason", "finishMessage", "logprobsResult")
            if key in candidate
        }
    chunks[-1]["usageMetadata"] = usage
    return chunks


def _gemini_pieces(part: Json) -> list[Json]:
    if not part.get("text"):
        return [part]
    words = pieces(part["text"])
    cut = {key: value for key, value in part.items() if key != "thoughtSignature"}
    return [{**cut, "text": one} for one in words[:-1]] + [{**part, "text": words[-1]}]


def _gemini_stream(reply: Json) -> bytes:
    return b"".join(sse.render(msgspec.json.encode(chunk)) for chunk in gemini_chunks(reply))


_STREAMS = {
    Dialect.OPENAI_CHAT: _openai_stream,
    Dialect.OPENAI_RESPONSES: _responses_stream,
    Dialect.ANTHROPIC_MESSAGES: _anthropic_stream,
    Dialect.GEMINI: _gemini_stream,
}
