"""A client's Responses request, read into the neutral form.

Follows https://platform.openai.com/docs/api-reference/responses/create. State (`store`,
`previous_response_id`, `conversation`, `background`) and what a response repeats (`metadata`) are
the gateway's own affair and no part of what a model is asked; fields without a word in the neutral
form stand in `Request.extra`.
"""

from typing import Annotated

import msgspec

from meterway.kit.json import RawObject
from meterway.protocols.chat import neutral
from meterway.protocols.chat.openai_family import optional, refused
from meterway.protocols.chat.openai_responses import wire
from meterway.protocols.chat.openai_responses.facts import read_facts
from meterway.protocols.chat.openai_responses.faults import untold
from meterway.protocols.chat.openai_responses.items_in import decode_input
from meterway.protocols.chat.openai_responses.names import ToolNames, tools_of
from meterway.protocols.chat.openai_responses.tools_in import decode_tools

_Count = Annotated[int, msgspec.Meta(ge=0)]
_KNOWN = frozenset(
    {
        "model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls",
        "max_output_tokens", "temperature", "top_p", "top_logprobs", "presence_penalty",
        "frequency_penalty", "reasoning", "text", "service_tier", "user", "safety_identifier",
        "stream", "stream_options", "include", "store", "previous_response_id", "conversation",
        "background", "metadata", "prompt",
    }
)  # fmt: skip
_SAMPLED = frozenset(
    {
        "top_logprobs", "include", "temperature", "top_p", "presence_penalty", "frequency_penalty",
    }
)  # fmt: skip
_DISABLED = msgspec.Raw(b'"disabled"')


def decode_request(body: RawObject) -> neutral.Request:
    """Read a whole request. Raises `InvalidRequestError` naming the JSON path at fault."""
    facts = read_facts(body)
    if wire.given(body.get("prompt", wire.NULL)):
        raise untold("prompt", "a prompt kept by its vendor")
    declared = tools_of(body)
    names = ToolNames(declared)
    offer = decode_tools(body, declared, names)
    system, messages = decode_input(body, names)
    text = optional(body, "text", wire.Text) or wire.Text()
    return neutral.Request(
        model=facts.model,
        messages=messages,
        system=system,
        tools=offer.tools,
        tool_choice=offer.choice,
        parallel_tool_calls=optional(body, "parallel_tool_calls", bool),
        sampling=_sampling(body, facts.max_tokens),
        reasoning=_reasoning(body),
        output=_output(text.format),
        service_tier=facts.service_tier,
        user=optional(body, "user", str) or optional(body, "safety_identifier", str),
        stream=facts.stream,
        include_usage=facts.stream,
        extra=offer.left_out | _extra(body, text),
    )


def _sampling(body: RawObject, limit: int | None) -> neutral.Sampling:
    if body.keys().isdisjoint(_SAMPLED):  # most requests say nothing of it
        return neutral.Sampling(max_tokens=limit)
    shown = optional(body, "top_logprobs", _Count)
    include = optional(body, "include", list[str]) or ()
    return neutral.Sampling(
        max_tokens=limit,
        logprobs=True if shown or wire.LOGPROBS in include else None,
        top_logprobs=shown or None,
        temperature=optional(body, "temperature", float),
        top_p=optional(body, "top_p", float),
        presence_penalty=optional(body, "presence_penalty", float),
        frequency_penalty=optional(body, "frequency_penalty", float),
    )


def _reasoning(body: RawObject) -> neutral.Reasoning | None:
    wish = optional(body, "reasoning", wire.Reasoning)
    if wish is None or wish.effort is None:
        return None
    return neutral.Reasoning(effort=wish.effort)


def _output(form: wire.Format | None) -> neutral.JsonSchema | neutral.JsonObject | None:
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return neutral.JsonObject()
    if form.type != "json_schema":
        problem = f"'{form.type}' is none of 'text', 'json_object' and 'json_schema'."
        raise refused("text.format.type", problem)
    return neutral.JsonSchema(
        schema=form.schema if wire.given(form.schema) else msgspec.Raw(b"{}"),
        name=form.name,
        description=form.description,
        strict=form.strict,
    )


def _extra(body: RawObject, text: wire.Text) -> RawObject:
    extra = {key: raw for key, raw in body.items() if key not in _KNOWN and raw != wire.NULL}
    if extra.get("truncation") == _DISABLED:
        del extra["truncation"]  # as it is everywhere else
    if wire.given(text.verbosity):
        extra["text.verbosity"] = text.verbosity
    return extra
