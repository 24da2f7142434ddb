"""Reads requests of both dialects the way their vendors would, apart from the product's codecs.

The sandbox is a witness: it takes the wire at its word and refuses what a vendor refuses, such as
a tool result that answers no call, so that a translation error shows.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from meterway.upstreams.sandbox.types import Ask, Tool, bad_request

_REMINDER, _REMINDED = "<system-reminder>", "</system-reminder>"
_SERVER_TOOLS = ("web_search", "web_fetch", "code_execution", "tool_search", "mcp_toolset")
_MOST_COPIES, _MOST_LOGPROBS = 128, 20  # OpenAI's own limits of `n` and `top_logprobs`
_ATTACHED = {
    "image_url": "image",
    "input_audio": "audio",
    "file": "document",
    "image": "image",
    "document": "document",
}


def read_chat(body: Mapping[str, Any]) -> Ask:
    """Read an OpenAI chat request; https://platform.openai.com/docs/api-reference/chat/create.

    Raises `SandboxError` where it is not one.
    """
    messages = _messages(body)
    _check_chat_calls(messages)
    choice = body.get("tool_choice")
    form = _mapping(body.get("response_format"))
    said = [message for message in messages if message.get("role") == "user"]
    results = _trailing_results(messages)
    options = _mapping(body.get("stream_options"))
    return Ask(
        model=_model(body),
        stream=body.get("stream") is True,
        text=_said(said[-1].get("content")) if said else "",
        attachments=_attachments(said[-1].get("content")) if said else (),
        results=results,
        tools=() if choice == "none" else tuple(_chat_tools(body)),
        forced=choice == "required" or isinstance(choice, Mapping),
        chosen=_named(choice),
        parallel=body.get("parallel_tool_calls") is not False,
        json=_kind(form) in {"json_object", "json_schema"},
        schema=_mapping(form.get("json_schema")).get("schema"),
        max_tokens=_limit(body, "max_completion_tokens") or _limit(body, "max_tokens"),
        stops=_stops(body.get("stop")),
        copies=_count(body, "n", 1, _MOST_COPIES) or 1,
        logprobs=(_count(body, "top_logprobs", 0, _MOST_LOGPROBS) or 0)
        if body.get("logprobs")
        else None,
        include_usage=options.get("include_usage") is True,
        tier=_tier(body.get("service_tier")),
    )


def read_messages(body: Mapping[str, Any]) -> Ask:
    """Read an Anthropic messages request; https://platform.claude.com/docs/en/api/messages.

    Raises `SandboxError` where it is not one.
    """
    messages = _messages(body)
    if "max_tokens" not in body:
        raise bad_request("max_tokens: Field required")
    _check_tool_uses(messages)
    choice = _mapping(body.get("tool_choice"))
    output = _mapping(
        _mapping(body.get("output_config")).get("format") or body.get("output_format")
    )
    said = [message for message in messages if message.get("role") == "user"]
    last = messages[-1].get("content")
    returned = [each.get("content") for each in _blocks(last, "tool_result")]
    return Ask(
        model=_model(body),
        stream=body.get("stream") is True,
        text=_said(said[-1].get("content")) if said else "",
        attachments=_attachments(said[-1].get("content")) if said else (),
        results=tuple(_said(content) for content in returned) or None,
        tools=() if choice.get("type") == "none" else tuple(_message_tools(body)),
        forced=_kind(choice) in {"any", "tool"},
        chosen=_name(choice),
        parallel=choice.get("disable_parallel_tool_use") is not True,
        json=output.get("type") == "json_schema",
        schema=output.get("schema"),
        thinks=_kind(_mapping(body.get("thinking"))) in {"enabled", "adaptive"},
        max_tokens=_count(body, "max_tokens"),
        stops=_stops(body.get("stop_sequences")),
    )


def _model(body: Mapping[str, Any]) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise bad_request("you must provide a model parameter")
    return model


def _messages(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    messages = body.get("messages")
    if messages is None:
        raise bad_request("messages: Field required")
    if not isinstance(messages, list):
        raise bad_request("messages: Input should be a list of messages")
    if not messages:
        raise bad_request("messages: at least one message is required")
    for index, message in enumerate(messages):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise bad_request(f"messages.{index}.role: Field required")
    return messages


def _count(
    body: Mapping[str, Any], name: str, least: int = 1, most: int | None = None
) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise bad_request(f"{name}: Input should be an integer greater than or equal to {least}")
    if most is not None and value > most:
        raise bad_request(f"{name}: Input should be less than or equal to {most}")
    return value


def _limit(body: Mapping[str, Any], name: str) -> int | None:
    """Return a token limit; OpenAI's own examples hold 0, which limits nothing."""
    return None if body.get(name) == 0 else _count(body, name)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _kind(value: Mapping[str, Any]) -> str:
    """Return the `type` of an object, empty where it is none that could be known."""
    kind = value.get("type")
    return kind if isinstance(kind, str) else ""


def _name(value: Mapping[str, Any]) -> str | None:
    name = value.get("name")
    return name if isinstance(name, str) else None


def _blocks(content: Any, kind: str | None = None) -> list[Mapping[str, Any]]:
    blocks = content if isinstance(content, list) else []
    return [
        block
        for block in blocks
        if isinstance(block, Mapping) and (kind is None or block.get("type") == kind)
    ]


def _said(content: Any) -> str:
    """Return a turn's text: the last that is more than a client's own reminders."""
    texts = [content] if isinstance(content, str) else _texts(content)
    spoken = [said for text in texts if (said := _spoken(text))]
    return spoken[-1] if spoken else ""


def _texts(content: Any) -> list[str]:
    return [str(block.get("text", "")) for block in _blocks(content, "text")]


def _spoken(text: str) -> str:
    """Return `text` without the reminders it begins with; translators may have joined them."""
    while text.lstrip().startswith(_REMINDER):
        text = text.partition(_REMINDED)[2].lstrip()
    return text


def _attachments(content: Any) -> tuple[str, ...]:
    """Name what a turn carries besides text, in tool results too."""
    kinds: list[str] = []
    for block in _blocks(content):
        if block.get("type") == "tool_result":
            kinds.extend(_attachments(block.get("content")))
        elif kind := _ATTACHED.get(str(block.get("type"))):
            kinds.append(kind)
    return tuple(kinds)


def _stops(value: Any) -> tuple[str, ...]:
    stops = value if isinstance(value, list) else [value]
    return tuple(stop for stop in stops if isinstance(stop, str) and stop)


def _tier(value: Any) -> str:
    return "default" if value is None or value == "auto" else str(value)


def _named(choice: Any) -> str | None:
    choice = _mapping(choice)
    return _name(_mapping(choice.get(_kind(choice))))


def _chat_tools(body: Mapping[str, Any]) -> Iterator[Tool]:
    allowed = _mapping(_mapping(body.get("tool_choice")).get("allowed_tools"))
    names = {_named(tool) for tool in _blocks(allowed.get("tools"))}
    for tool in _blocks(body.get("tools")):
        kind = str(tool.get("type"))
        inner = _mapping(tool.get(kind))
        name = inner.get("name")
        if isinstance(name, str) and (not names or name in names):
            yield Tool(name, inner.get("parameters"), kind == "custom")


def _message_tools(body: Mapping[str, Any]) -> Iterator[Tool]:
    for tool in _blocks(body.get("tools")):
        name = tool.get("name")
        kind = str(tool.get("type") or "custom")
        if isinstance(name, str) and not kind.startswith(_SERVER_TOOLS):
            yield Tool(name, tool.get("input_schema"))


def _trailing_results(messages: list[Mapping[str, Any]]) -> tuple[str, ...] | None:
    """Return what tools said in the last turn; their pictures and reminders may follow it."""
    ids = {str(message["tool_call_id"]) for message in messages if "tool_call_id" in message}
    results: list[str] = []
    for message in reversed(messages):
        content = message.get("content")
        if message.get("role") == "user" and not results and _is_about(ids, content):
            continue
        if message.get("role") not in {"tool", "function"}:
            break
        results.insert(0, _said(message.get("content")))
    return tuple(results) or None


def _is_about(ids: set[str], content: Any) -> bool:
    """Whether a user's turn only names tool calls: what stands there belongs to their results."""
    texts = [content] if isinstance(content, str) else _texts(content)
    spoken = filter(None, map(_spoken, texts))
    return all(any(each in text for each in ids) for text in spoken)


def _check_chat_calls(messages: list[Mapping[str, Any]]) -> None:
    """Refuse tool messages without their call, and calls without their message."""
    open_ids: set[str] = set()
    for index, message in enumerate(messages):
        if message.get("role") == "tool":
            if str(message.get("tool_call_id")) not in open_ids:
                raise bad_request(
                    f"messages.{index}: messages with role 'tool' must be a response to a "
                    "preceding message with 'tool_calls'"
                )
            open_ids.discard(str(message.get("tool_call_id")))
        elif open_ids:
            raise bad_request(f"messages.{index}: tool_call_ids without response: {open_ids}")
        else:
            open_ids = {str(call.get("id")) for call in _blocks(message.get("tool_calls"))}
    if open_ids:
        raise bad_request(f"messages: tool_call_ids without response: {open_ids}")


def _check_tool_uses(messages: list[Mapping[str, Any]]) -> None:
    """Refuse results that do not answer the turn before, and calls the next leaves open."""
    open_ids: set[str] = set()
    for index, message in enumerate(messages):
        results = {
            str(each.get("tool_use_id")) for each in _blocks(message.get("content"), "tool_result")
        }
        if results - open_ids:
            raise bad_request(
                f"messages.{index}: unexpected `tool_use_id` in `tool_result` blocks: "
                f"{sorted(results - open_ids)}"
            )
        if open_ids - results:
            raise bad_request(
                f"messages.{index}: `tool_use` ids without `tool_result` blocks: "
                f"{sorted(open_ids - results)}"
            )
        open_ids = {str(each.get("id")) for each in _blocks(message.get("content"), "tool_use")}
    if open_ids:
        raise bad_request(f"messages: `tool_use` ids without `tool_result`: {sorted(open_ids)}")
