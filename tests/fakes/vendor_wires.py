"""How vendors of four dialects write what a model says: whole, as a stream, and what it used.

Written by hand from the vendors' pages, so that nothing under test has a part in it:
https://platform.openai.com/docs/api-reference/chat-streaming and /responses-streaming,
https://platform.claude.com/docs/en/build-with-claude/streaming,
https://ai.google.dev/api/generate-content
"""

import json
from typing import Any, NamedTuple, Protocol

import msgspec

from meterway.protocols.usage import Usage

JSON = dict[str, Any]
SIGNATURE = "c2lnbmVkIGJ5IHRoZSB2ZW5kb3I="


class Call(NamedTuple):
    """A tool a model calls."""

    name: str
    arguments: JSON


class Saying(NamedTuple):
    """What a model says to the request of a number: a call of a tool, or else a text."""

    number: int
    model: str
    usage: Usage
    text: str
    call: Call | None = None

    @property
    def arguments(self) -> str:
        """The call's arguments as JSON text."""
        assert self.call is not None
        return json.dumps(self.call.arguments)

    @property
    def pieces(self) -> tuple[str, str]:
        """The text, or the call's arguments, in two pieces."""
        whole = self.text if self.call is None else self.arguments
        return whole[:7], whole[7:]


class Asked(NamedTuple):
    """What matters of a request: the tools on offer, and whether the last turn answers a call."""

    model: str
    tools: frozenset[str]
    answered: bool
    stream: bool


class Wire(Protocol):
    """How one dialect is read and written."""

    def read(self, path: str, body: JSON) -> Asked:
        """Return what matters of a request."""

    def whole(self, said: Saying) -> JSON:
        """Write a reply."""

    def stream(self, said: Saying) -> str:
        """Write a reply as the events of a stream."""

    def opening(self, usage: Usage) -> Usage | None:
        """Return what a stream reports before the first word; None: all comes at the end."""


def events(*told: JSON, named: bool = False) -> str:
    """Write a stream of server-sent events, with the name of each where its dialect has names."""
    lines = [
        (f"event: {one['type']}\n" if named else "") + f"data: {json.dumps(one)}" for one in told
    ]
    return "".join(f"{line}\n\n" for line in lines)


class Chat:
    """OpenAI's chat completions."""

    def read(self, path: str, body: JSON) -> Asked:
        tools = frozenset(tool["function"]["name"] for tool in body.get("tools") or ())
        answered = body["messages"][-1]["role"] == "tool"
        return Asked(body["model"], tools, answered, bool(body.get("stream")))

    def whole(self, said: Saying) -> JSON:
        message: JSON = {"role": "assistant", "content": said.text}
        if said.call is not None:
            called = {"name": said.call.name, "arguments": said.arguments}
            call = {"id": f"call_{said.number}", "type": "function", "function": called}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
        choice = {"index": 0, "message": message, "finish_reason": self._finish(said)}
        return self._named("chat.completion", said, [choice]) | {"usage": self._usage(said.usage)}

    def stream(self, said: Saying) -> str:
        deltas: list[JSON] = [{"role": "assistant", "content": "" if said.call is None else None}]
        if said.call is None:
            deltas += [{"content": piece} for piece in said.pieces]
        else:
            called = {"name": said.call.name, "arguments": ""}
            opened = {"index": 0, "id": f"call_{said.number}", "type": "function"}
            deltas.append({"tool_calls": [opened | {"function": called}]})
            for piece in said.pieces:
                deltas.append({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
        choices: list[JSON] = [
            {"index": 0, "delta": delta, "finish_reason": None} for delta in deltas
        ]
        choices.append({"index": 0, "delta": {}, "finish_reason": self._finish(said)})
        chunks = [self._named("chat.completion.chunk", said, [choice]) for choice in choices]
        last = self._named("chat.completion.chunk", said, []) | {"usage": self._usage(said.usage)}
        return events(*chunks, last) + "data: [DONE]\n\n"

    def opening(self, usage: Usage) -> Usage | None:
        return None

    def _finish(self, said: Saying) -> str:
        return "stop" if said.call is None else "tool_calls"

    def _named(self, kind: str, said: Saying, choices: list[JSON]) -> JSON:
        facts = {"id": f"chatcmpl-{said.number}", "object": kind, "created": 1_800_000_000}
        return {**facts, "model": said.model, "choices": choices}

    def _usage(self, used: Usage) -> JSON:
        return {
            "prompt_tokens": used.total_input,
            "completion_tokens": used.total_output,
            "total_tokens": used.total_input + used.total_output,
            "prompt_tokens_details": {
                "cached_tokens": used.cache_read,
                "cache_write_tokens": used.cache_write_5m,
            },
            "completion_tokens_details": {"reasoning_tokens": used.reasoning},
        }


class Messages:
    """Anthropic's messages."""

    def read(self, path: str, body: JSON) -> Asked:
        tools = frozenset(tool["name"] for tool in body.get("tools") or ())
        last = body["messages"][-1]["content"]
        answered = any(block["type"] == "tool_result" for block in last if isinstance(block, dict))
        return Asked(body["model"], tools, answered, bool(body.get("stream")))

    def whole(self, said: Saying) -> JSON:
        block: JSON = {"type": "text", "text": said.text}
        if said.call is not None:
            block = self._opened(said) | {"input": said.call.arguments}
        ended = {"content": [block], "stop_reason": self._stop(said)}
        return self._message(said, self._usage(said.usage)) | ended

    def stream(self, said: Saying) -> str:
        opened: JSON = {"type": "text", "text": ""}
        kind, field = "text_delta", "text"
        if said.call is not None:
            opened, kind, field = self._opened(said), "input_json_delta", "partial_json"
        opened_with = self._usage(self.opening(said.usage))
        told: list[JSON] = [
            {"type": "message_start", "message": self._message(said, opened_with)},
            {"type": "content_block_start", "index": 0, "content_block": opened},
            {"type": "ping"},
        ]
        for piece in said.pieces:
            delta = {"type": kind, field: piece}
            told.append({"type": "content_block_delta", "index": 0, "delta": delta})
        ended = {"stop_reason": self._stop(said), "stop_sequence": None}
        told += [
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": ended, "usage": self._usage(said.usage)},
            {"type": "message_stop"},
        ]
        return events(*told, named=True)

    def opening(self, usage: Usage) -> Usage:
        return msgspec.structs.replace(usage, output=1, reasoning=0)

    def _opened(self, said: Saying) -> JSON:
        assert said.call is not None
        named = {"id": f"toolu_{said.number}", "name": said.call.name}
        return {"type": "tool_use", **named, "input": {}}

    def _stop(self, said: Saying) -> str:
        return "end_turn" if said.call is None else "tool_use"

    def _message(self, said: Saying, usage: JSON) -> JSON:
        facts = {"id": f"msg_{said.number}", "type": "message", "role": "assistant"}
        ended = {"stop_reason": None, "stop_sequence": None, "usage": usage}
        return {**facts, "model": said.model, "content": [], **ended}

    def _usage(self, used: Usage) -> JSON:
        written = {
            "ephemeral_5m_input_tokens": used.cache_write_5m,
            "ephemeral_1h_input_tokens": used.cache_write_1h,
        }
        return {
            "input_tokens": used.input,
            "cache_read_input_tokens": used.cache_read,
            "cache_creation_input_tokens": used.cache_write_5m + used.cache_write_1h,
            "cache_creation": written,
            "output_tokens": used.total_output,
            "output_tokens_details": {"thinking_tokens": used.reasoning},
        }


class Content:
    """Google's generateContent."""

    def read(self, path: str, body: JSON) -> Asked:
        model, _, method = path.rpartition("/")[2].partition(":")
        _check_signed(body["contents"])
        listed = [tool.get("functionDeclarations") or () for tool in body.get("tools") or ()]
        tools = frozenset(one["name"] for declared in listed for one in declared)
        answered = any("functionResponse" in part for part in body["contents"][-1]["parts"])
        return Asked(model, tools, answered, method.startswith("stream"))

    def whole(self, said: Saying) -> JSON:
        part: JSON = {"text": said.text}
        if said.call is not None:
            called = {"name": said.call.name, "args": said.call.arguments}
            part = {"functionCall": called, "thoughtSignature": SIGNATURE}
        return self._reply(said, part, "STOP") | {"usageMetadata": self._usage(said.usage)}

    def stream(self, said: Saying) -> str:
        if said.call is not None:
            return events(self.whole(said))
        first, last = said.pieces
        told = self._reply(said, {"text": last}, "STOP")
        usage = {"usageMetadata": self._usage(said.usage)}
        return events(self._reply(said, {"text": first}, None), told | usage)

    def opening(self, usage: Usage) -> Usage | None:
        return None

    def _reply(self, said: Saying, part: JSON, finish: str | None) -> JSON:
        candidate: JSON = {"index": 0, "content": {"role": "model", "parts": [part]}}
        if finish is not None:
            candidate["finishReason"] = finish
        facts = {"modelVersion": said.model, "responseId": f"content-{said.number}"}
        return {"candidates": [candidate], **facts}

    def _usage(self, used: Usage) -> JSON:
        return {
            "promptTokenCount": used.total_input,
            "cachedContentTokenCount": used.cache_read,
            "candidatesTokenCount": used.output,
            "thoughtsTokenCount": used.reasoning,
            "totalTokenCount": used.total_input + used.total_output,
        }


def _check_signed(contents: list[JSON]) -> None:
    """Check that every call is signed, as Gemini 3 does of the first of each turn."""
    parts = [part for content in contents for part in content["parts"]]
    unsigned = [part for part in parts if "functionCall" in part and "thoughtSignature" not in part]
    assert not unsigned, f"a call came back without its signature: {unsigned}"


class Responses:
    """OpenAI's responses."""

    def read(self, path: str, body: JSON) -> Asked:
        tools = frozenset(tool["name"] for tool in body.get("tools") or () if "name" in tool)
        given = body["input"]
        answered = isinstance(given, list) and given[-1].get("type") == "function_call_output"
        return Asked(body["model"], tools, answered, bool(body.get("stream")))

    def whole(self, said: Saying) -> JSON:
        ended = {"output": [self._item(said)], "usage": self._usage(said.usage)}
        return self._response(said, "completed") | ended

    def stream(self, said: Saying) -> str:
        item, first = self._item(said), {"item_id": f"item_{said.number}", "output_index": 0}
        kind, end = "response.function_call_arguments", "arguments"
        opened = item | {"status": "in_progress", "arguments": ""}
        if said.call is None:
            kind, end = "response.output_text", "text"
            opened = item | {"status": "in_progress", "content": []}
            first["content_index"] = 0
        told: list[JSON] = [
            {"type": "response.created", "response": self._response(said, "in_progress")},
            {"type": "response.output_item.added", "output_index": 0, "item": opened},
            *({"type": f"{kind}.delta", **first, "delta": piece} for piece in said.pieces),
            {"type": f"{kind}.done", **first, end: "".join(said.pieces)},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": self.whole(said)},
        ]
        numbered = [one | {"sequence_number": number} for number, one in enumerate(told)]
        return events(*numbered, named=True)

    def opening(self, usage: Usage) -> Usage | None:
        return None

    def _item(self, said: Saying) -> JSON:
        facts: JSON = {"id": f"item_{said.number}", "status": "completed"}
        if said.call is not None:
            called = {"name": said.call.name, "arguments": said.arguments}
            return {"type": "function_call", **facts, "call_id": f"call_{said.number}", **called}
        text = {"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}
        return {"type": "message", **facts, "role": "assistant", "content": [text]}

    def _response(self, said: Saying, status: str) -> JSON:
        facts = {"id": f"resp_{said.number}", "object": "response", "created_at": 1_800_000_000}
        settings = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
        nothing = dict.fromkeys(("error", "incomplete_details", "instructions", "metadata"))
        rest: JSON = {"status": status, "model": said.model, "output": [], "usage": None}
        return {**facts, **settings, **nothing, **rest}

    def _usage(self, used: Usage) -> JSON:
        read = {"cached_tokens": used.cache_read, "cache_write_tokens": used.cache_write_5m}
        return {
            "input_tokens": used.total_input,
            "input_tokens_details": read,
            "output_tokens": used.total_output,
            "output_tokens_details": {"reasoning_tokens": used.reasoning},
            "total_tokens": used.total_input + used.total_output,
        }
