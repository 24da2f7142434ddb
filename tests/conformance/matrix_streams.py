"""Streams for the dialect matrix: whole replies cut into events as vendors do, and gathered again.

Written from the vendors' documentation alone, so that the codecs are judged by somebody else.
"""

from typing import Any

import msgspec

from meterway.kit import sse
from tests.conformance.matrix_cells import ANT

Json = Any


def pieces(text: str) -> list[str]:
    middle = len(text) // 2
    return [piece for piece in (text[:middle], text[middle:]) if piece]


def stream_of(dialect: str, reply: Json) -> bytes:
    """The stream an upstream of `dialect` would send instead of `reply`."""
    return _anthropic_stream(reply) if dialect == ANT else _openai_stream(reply)


def gathered(dialect: str, stream: bytes) -> Json:
    """The reply a client of `dialect` gathers from `stream`, with `error` where it was told one."""
    blocks = sse.Splitter().feed(stream)
    parsed = [event for block in blocks if (event := sse.parse(block)) is not None]
    return _from_anthropic(parsed) if dialect == ANT else _from_openai(parsed)


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


def _from_anthropic(events: list[sse.Event]) -> Json:
    message: Json = {}
    inputs: dict[int, str] = {}
    for event in map(msgspec.json.decode, (one.data for one in events)):
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


def _from_openai(events: list[sse.Event]) -> Json:
    reply: Json = {"choices": []}
    for event in events:
        if event.data == b"[DONE]":
            continue
        chunk = msgspec.json.decode(event.data)
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
        message.setdefault("reasoning_details", []).append(detail)
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
