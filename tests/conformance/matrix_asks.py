"""The requests of the dialect matrix: what clients ask, and what upstreams are then sent."""

from typing import Any

from meterway.protocols.chat.anthropic_messages.request_out import JSON_ONLY
from meterway.protocols.dialects import Dialect
from tests.conformance.matrix_cells import (
    ABSENT,
    ANT,
    OAI,
    Ask,
    Asked,
    Carried,
    NotAskable,
    Pair,
    Refused,
    Unchanged,
)

SAME: dict[Pair, Asked] = {(OAI, OAI): Unchanged(), (ANT, ANT): Unchanged()}


def unaskable(client: Dialect, why: str) -> dict[Pair, Asked]:
    return {(client, upstream): NotAskable(why) for upstream in (OAI, ANT)}


HI = {"role": "user", "content": "Hi"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
PNG, PDF = "iVBORw0KGgo=", "JVBERi0xLjQ="
URL = "https://example.org/a.png"
HOUR = {"type": "ephemeral", "ttl": "1h"}
OLD = {ANT: "claude-sonnet-4-20250514", OAI: "gpt-4.1"}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def users(*content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(content)}]}


O_FUNCTION = {"name": "f", "description": "d", "parameters": SCHEMA}
O_TOOL = {"type": "function", "function": O_FUNCTION}
A_TOOL = {"name": "f", "description": "d", "input_schema": SCHEMA}


def o_call(id_: str, arguments: str = '{"a":"b"}') -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": "f", "arguments": arguments}}


def a_call(id_: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": "f", "input": {"a": "b"}}


def a_result(id_: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id_, "content": content, **more}


O_LOOP: list[dict[str, Any]] = [
    HI,
    {"role": "assistant", "content": None, "tool_calls": [o_call("c1"), o_call("c2")]},
    {"role": "tool", "tool_call_id": "c1", "content": "one"},
    {"role": "tool", "tool_call_id": "c2", "content": "two"},
]
A_LOOP: list[dict[str, Any]] = [
    HI,
    {"role": "assistant", "content": [a_call("c1"), a_call("c2")]},
    {"role": "user", "content": [a_result("c1", "one"), a_result("c2", "two")]},
]
O_IMAGE = {"type": "image_url", "image_url": {"url": URL}}
O_DATA_IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
A_IMAGE = {"type": "image", "source": {"type": "url", "url": URL}}
A_DATA_IMAGE = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": PNG},
}
O_FILE: dict[str, Any] = {
    "type": "file",
    "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
}
A_FILE: dict[str, Any] = {
    "type": "document",
    "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
    "title": "a.pdf",
}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "SIG"}
DETAIL = {"type": "reasoning.text", "text": "hm", "signature": "SIG", "index": 0}

CONVERSATIONS = [
    Ask(
        "system prompt",
        {
            OAI: {"messages": [{"role": "system", "content": "S"}, HI]},
            ANT: {"system": [text("S")], "messages": [HI]},
        },
        SAME
        | {
            (OAI, ANT): Carried({"system": [text("S")]}),
            (ANT, OAI): Carried({"messages": [{"role": "system", "content": "S"}, HI]}),
        },
    ),
    Ask(
        "several turns",
        {d: {"messages": [HI, {"role": "assistant", "content": "Yo"}, HI]} for d in (OAI, ANT)},
        SAME
        | {
            (OAI, ANT): Carried(
                {
                    "messages": [
                        {"role": "user", "content": [text("Hi")]},
                        {"role": "assistant", "content": [text("Yo")]},
                        {"role": "user", "content": [text("Hi")]},
                    ]
                }
            ),
            (ANT, OAI): Carried({"messages": [HI, {"role": "assistant", "content": "Yo"}, HI]}),
        },
    ),
    Ask(
        "turns of one role in a row",
        {d: {"messages": [HI, {"role": "user", "content": "Yo"}]} for d in (OAI, ANT)},
        SAME
        | {
            (OAI, ANT): Carried(
                {"messages": [{"role": "user", "content": [text("Hi"), text("Yo")]}]},
                note="merged into one turn",
            ),
            (ANT, OAI): Carried({"messages": [HI, {"role": "user", "content": "Yo"}]}),
        },
    ),
    Ask(
        "system turn in mid-conversation",
        {d: {"messages": [HI, {"role": "system", "content": "S"}]} for d in (OAI, ANT)},
        SAME
        | {
            (OAI, ANT): Carried(
                {
                    "messages": [
                        {"role": "user", "content": [text("Hi")]},
                        {"role": "system", "content": [text("S")]},
                    ]
                },
                note="as a system turn; for models without them as text in `<system>` tags",
            ),
            (ANT, OAI): Carried({"messages": [HI, {"role": "system", "content": "S"}]}),
        },
    ),
    Ask(
        "refusal in history",
        {
            OAI: {"messages": [HI, {"role": "assistant", "content": None, "refusal": "No."}, HI]},
        },
        SAME
        | {
            (OAI, ANT): Carried(
                {
                    "messages": [
                        {"role": "user"},
                        {"role": "assistant", "content": [text("No.")]},
                        {"role": "user"},
                    ]
                },
                note="as text",
            ),
            **unaskable(ANT, "a refusal is a stop reason there, history holds its text"),
        },
    ),
    Ask(
        "participant's name",
        {OAI: {"messages": [{**HI, "name": "Bob"}]}},
        SAME
        | {
            (OAI, ANT): Carried({"messages": [{"name": ABSENT}]}, ("messages[0].name",)),
            **unaskable(ANT, "turns have no names"),
        },
    ),
]

TOOLS = [
    Ask(
        "tools",
        {OAI: {"tools": [O_TOOL]}, ANT: {"tools": [A_TOOL]}},
        SAME
        | {
            (OAI, ANT): Carried({"tools": [A_TOOL]}),
            (ANT, OAI): Carried({"tools": [O_TOOL]}),
        },
    ),
    Ask(
        "strict tools",
        {
            OAI: {"tools": [{**O_TOOL, "function": {**O_FUNCTION, "strict": True}}]},
            ANT: {"tools": [{**A_TOOL, "strict": True}]},
        },
        SAME
        | {
            (OAI, ANT): Carried({"tools": [{"strict": True}]}),
            (ANT, OAI): Carried({"tools": [{"function": {"strict": True}}]}),
        },
    ),
    Ask(
        "any tool must be used",
        {
            OAI: {"tools": [O_TOOL], "tool_choice": "required"},
            ANT: {"tools": [A_TOOL], "tool_choice": {"type": "any"}},
        },
        SAME
        | {
            (OAI, ANT): Carried({"tool_choice": {"type": "any"}}),
            (ANT, OAI): Carried({"tool_choice": "required"}),
        },
    ),
    Ask(
        "one tool must be used",
        {
            OAI: {
                "tools": [O_TOOL],
                "tool_choice": {"type": "function", "function": {"name": "f"}},
            },
            ANT: {"tools": [A_TOOL], "tool_choice": {"type": "tool", "name": "f"}},
        },
        SAME
        | {
            (OAI, ANT): Carried({"tool_choice": {"type": "tool", "name": "f"}}),
            (ANT, OAI): Carried({"tool_choice": {"type": "function", "function": {"name": "f"}}}),
        },
    ),
    Ask(
        "no tool may be used",
        {
            OAI: {"tools": [O_TOOL], "tool_choice": "none"},
            ANT: {"tools": [A_TOOL], "tool_choice": {"type": "none"}},
        },
        SAME
        | {
            (OAI, ANT): Carried({"tool_choice": {"type": "none"}}),
            (ANT, OAI): Carried({"tool_choice": "none"}),
        },
    ),
    Ask(
        "one tool call at a time",
        {
            OAI: {"tools": [O_TOOL], "parallel_tool_calls": False},
            ANT: {
                "tools": [A_TOOL],
                "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
            },
        },
        SAME
        | {
            (OAI, ANT): Carried(
                {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}
            ),
            (ANT, OAI): Carried({"tool_choice": "auto", "parallel_tool_calls": False}),
        },
    ),
    Ask(
        "parallel tool calls and their results",
        {OAI: {"messages": O_LOOP}, ANT: {"messages": A_LOOP}},
        SAME
        | {
            (OAI, ANT): Carried(
                {
                    "messages": [
                        {"role": "user"},
                        {"role": "assistant", "content": [a_call("c1"), a_call("c2")]},
                        {
                            "role": "user",
                            "content": [
                                a_result("c1", [text("one")]),
                                a_result("c2", [text("two")]),
                            ],
                        },
                    ]
                }
            ),
            (ANT, OAI): Carried({"messages": O_LOOP}),
        },
    ),
    Ask(
        "tool results with images",
        {
            OAI: {"messages": [*O_LOOP[:3], {**O_LOOP[3], "content": [text("two"), O_DATA_IMAGE]}]},
            ANT: {
                "messages": [
                    *A_LOOP[:2],
                    {
                        "role": "user",
                        "content": [
                            a_result("c1", "one"),
                            a_result("c2", [text("two"), A_DATA_IMAGE]),
                        ],
                    },
                ]
            },
        },
        SAME
        | {
            (OAI, ANT): Carried(
                {
                    "messages": [
                        {"role": "user"},
                        {"role": "assistant"},
                        {"content": [{}, {"content": [text("two"), A_DATA_IMAGE]}]},
                    ]
                }
            ),
            (ANT, OAI): Carried(
                {
                    "messages": [
                        *O_LOOP[:3],
                        {"role": "tool", "tool_call_id": "c2"},
                        {"role": "user", "content": [{"type": "text"}, O_DATA_IMAGE]},
                    ]
                },
                note="the images follow in a user message that names the call",
            ),
        },
    ),
    Ask(
        "failed tool results",
        {
            ANT: {
                "messages": [
                    HI,
                    {"role": "assistant", "content": [a_call("c1")]},
                    {"role": "user", "content": [a_result("c1", "bad", is_error=True)]},
                ]
            },
        },
        SAME
        | {
            **unaskable(OAI, "results have no error mark"),
            (ANT, OAI): Carried(
                {"messages": [{}, {}, {"role": "tool", "content": "bad"}]},
                ("messages.2.content.0.is_error",),
            ),
        },
    ),
    Ask(
        "the vendor's own tools",
        {
            OAI: {"tools": [{"type": "custom", "custom": {"name": "sql"}}]},
            ANT: {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        },
        SAME | {(OAI, ANT): Refused("tools[0]"), (ANT, OAI): Refused("tools.0")},
    ),
]

CONTENT = [
    Ask(
        "image by URL",
        {OAI: users(text("a"), O_IMAGE), ANT: users(text("a"), A_IMAGE)},
        SAME
        | {
            (OAI, ANT): Carried(users(text("a"), A_IMAGE)),
            (ANT, OAI): Carried(users(text("a"), O_IMAGE)),
        },
    ),
    Ask(
        "image in base64",
        {OAI: users(text("a"), O_DATA_IMAGE), ANT: users(text("a"), A_DATA_IMAGE)},
        SAME
        | {
            (OAI, ANT): Carried(users(text("a"), A_DATA_IMAGE)),
            (ANT, OAI): Carried(users(text("a"), O_DATA_IMAGE)),
        },
    ),
    Ask(
        "PDF in base64",
        {OAI: users(text("a"), O_FILE), ANT: users(text("a"), A_FILE)},
        SAME
        | {
            (OAI, ANT): Carried(users(text("a"), A_FILE)),
            (ANT, OAI): Carried(users(text("a"), O_FILE)),
        },
    ),
    Ask(
        "document by URL",
        {
            OAI: users({"type": "file", "file": {"file_data": "https://example.org/a.pdf"}}),
            ANT: users({"type": "document", "source": {"type": "url", "url": URL}}),
        },
        SAME
        | {
            (OAI, ANT): Carried(
                users(
                    {
                        "type": "document",
                        "source": {"type": "url", "url": "https://example.org/a.pdf"},
                    }
                )
            ),
            (ANT, OAI): Refused("messages.0.content.0"),
        },
    ),
    Ask(
        "text document with citations",
        {
            ANT: users(
                {
                    "type": "document",
                    "source": {"type": "text", "media_type": "text/plain", "data": "words"},
                    "title": "T",
                    "citations": {"enabled": True},
                }
            ),
        },
        SAME
        | {
            **unaskable(OAI, "files are not cited"),
            (ANT, OAI): Carried(
                {"messages": [{"role": "user", "content": "T\n\nwords"}]},
                ("messages.0.content.0.citations",),
                note="as text",
            ),
        },
    ),
    Ask(
        "audio",
        {
            OAI: users({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}),
        },
        SAME
        | {
            (OAI, ANT): Refused("messages[0].content[0]"),
            **unaskable(ANT, "no audio"),
        },
    ),
    Ask(
        "a kind of content only the vendor knows",
        {
            OAI: users({"type": "novelty", "novelty": {}}),
            ANT: users({"type": "search_result", "source": "s", "title": "t", "content": []}),
        },
        SAME
        | {
            (OAI, ANT): Refused("messages[0].content[0]"),
            (ANT, OAI): Refused("messages.0.content.0"),
        },
    ),
    Ask(
        "cache marks",
        {
            OAI: users({**text("a"), "cache_control": HOUR}),
            ANT: users({**text("a"), "cache_control": HOUR}),
        },
        SAME
        | {
            (OAI, ANT): Carried(users({**text("a"), "cache_control": HOUR})),
            (ANT, OAI): Carried(
                {"messages": [{"content": "a"}]}, ("messages.0.content.0.cache_control",)
            ),
        },
    ),
]

THINKING = [
    Ask(
        "effort",
        {
            OAI: {"reasoning_effort": "high"},
            ANT: {"output_config": {"effort": "high"}},
        },
        SAME
        | {
            (OAI, ANT): Carried(
                {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
                note="adaptive thinking and effort; a budget for models before Claude 4.6",
            ),
            (ANT, OAI): Carried({"reasoning_effort": "high"}),
        },
    ),
    Ask(
        "thinking budget",
        {
            OAI: {"reasoning": {"max_tokens": 8000}},
            ANT: {"max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 8000}},
        },
        SAME
        | {
            (OAI, ANT): Carried(
                {"thinking": {"type": "enabled", "budget_tokens": 8000}, "max_tokens": 16192},
                note="as a budget; the nearest effort for models since Claude 4.7",
            ),
            (ANT, OAI): Carried({"reasoning_effort": "medium"}, note="as the nearest effort"),
        },
        models={ANT: OLD[ANT], OAI: "gpt-5"},
    ),
    Ask(
        "no thinking",
        {OAI: {"reasoning_effort": "none"}, ANT: {"thinking": {"type": "disabled"}}},
        SAME
        | {
            (OAI, ANT): Carried({"thinking": {"type": "disabled"}}),
            (ANT, OAI): Carried({"reasoning_effort": "minimal"}, note="as the least effort"),
        },
    ),
    Ask(
        "signed thinking in history",
        {
            OAI: {
                "messages": [
                    HI,
                    {"role": "assistant", "content": "a", "reasoning_details": [DETAIL]},
                    HI,
                ]
            },
            ANT: {
                "messages": [HI, {"role": "assistant", "content": [THOUGHT, text("a")]}, HI],
            },
        },
        SAME
        | {
            (OAI, ANT): Carried({"messages": [{}, {"content": [THOUGHT, text("a")]}, {}]}),
            (ANT, OAI): Carried(
                {"messages": [{}, {"content": "a", "reasoning_details": [DETAIL]}, {}]},
                note="as `reasoning_details` where a router serves Claude; else left out and named",
            ),
        },
        models={OAI: "anthropic/claude-sonnet-4.5"},
    ),
    Ask(
        "unsigned thinking in history",
        {
            OAI: {
                "messages": [
                    HI,
                    {"role": "assistant", "content": "a", "reasoning_content": "hm"},
                    HI,
                ]
            },
            ANT: {"messages": [HI, {"role": "assistant", "content": [THOUGHT, text("a")]}, HI]},
        },
        SAME
        | {
            (OAI, ANT): Carried(
                {"messages": [{}, {"content": [text("a")]}, {}]},
                ("messages[1].reasoning_content",),
            ),
            (ANT, OAI): Carried(
                {"messages": [{}, {"content": "a"}, {}]}, ("messages.1.content.0",)
            ),
        },
    ),
]

KNOBS = [
    Ask(
        "output limit",
        {OAI: {"max_completion_tokens": 50}, ANT: {"max_tokens": 50}},
        SAME
        | {
            (OAI, ANT): Carried({"max_tokens": 50}),
            (ANT, OAI): Carried({"max_completion_tokens": 50}),
        },
    ),
    Ask(
        "no output limit",
        {OAI: {}},
        SAME
        | {
            (OAI, ANT): Carried({"max_tokens": 8192}, note="8192; 4096 before Claude 3.5"),
            **unaskable(ANT, "`max_tokens` is mandatory"),
        },
    ),
    Ask(
        "stop sequences",
        {OAI: {"stop": ["X", "Y"]}, ANT: {"stop_sequences": ["X", "Y"]}},
        SAME
        | {
            (OAI, ANT): Carried({"stop_sequences": ["X", "Y"]}),
            (ANT, OAI): Carried({"stop": ["X", "Y"]}),
        },
    ),
    Ask(
        "temperature",
        {OAI: {"temperature": 0.5}, ANT: {"temperature": 0.5}},
        SAME
        | {
            (OAI, ANT): Carried({"temperature": 0.5}, note="left out and named since Claude 4.7"),
            (ANT, OAI): Carried({"temperature": 0.5}),
        },
        models=OLD,
    ),
    Ask(
        "temperature above 1",
        {OAI: {"temperature": 1.5}},
        SAME
        | {
            (OAI, ANT): Carried({"temperature": 1}, ("temperature",), note="sent as 1"),
            **unaskable(ANT, "1 is the highest"),
        },
        models=OLD,
    ),
    Ask(
        "top_k",
        {OAI: {"top_k": 5}, ANT: {"top_k": 5}},
        SAME
        | {
            (OAI, ANT): Carried({"top_k": 5}),
            (ANT, OAI): Carried({"top_k": ABSENT}, ("top_k",)),
        },
        models=OLD,
    ),
    Ask(
        "seed, penalties, token biases",
        {
            OAI: {"seed": 1, "presence_penalty": 1, "frequency_penalty": 1, "logit_bias": {"5": 1}},
        },
        SAME
        | {
            (OAI, ANT): Carried(
                {"seed": ABSENT, "logit_bias": ABSENT},
                ("seed", "presence_penalty", "frequency_penalty", "logit_bias"),
            ),
            **unaskable(ANT, "no such knobs"),
        },
    ),
    Ask(
        "logprobs",
        {OAI: {"logprobs": True, "top_logprobs": 3}},
        SAME
        | {
            (OAI, ANT): Carried({"logprobs": ABSENT}, ("logprobs", "top_logprobs")),
            **unaskable(ANT, "no logprobs"),
        },
    ),
    Ask(
        "several choices",
        {OAI: {"n": 2}},
        SAME | {(OAI, ANT): Refused("n"), **unaskable(ANT, "replies have one choice")},
    ),
    Ask(
        "output of a JSON schema",
        {
            OAI: {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "strict": True, "schema": SCHEMA},
                }
            },
            ANT: {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        },
        SAME
        | {
            (OAI, ANT): Carried(
                {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
                note="structured output, objects closed; in words for models without it",
            ),
            (ANT, OAI): Carried(
                {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}}
            ),
        },
    ),
    Ask(
        "output of any JSON object",
        {OAI: {"response_format": {"type": "json_object"}}},
        SAME
        | {
            (OAI, ANT): Carried(
                {"system": [text(JSON_ONLY)]}, note="as an instruction in the system prompt"
            ),
            **unaskable(ANT, "a format has a schema"),
        },
    ),
    Ask(
        "end user's id",
        {OAI: {"user": "u"}, ANT: {"metadata": {"user_id": "u"}}},
        SAME
        | {
            (OAI, ANT): Carried({"metadata": {"user_id": "u"}}),
            (ANT, OAI): Carried({"user": "u"}),
        },
    ),
    Ask(
        "standard tier only",
        {OAI: {"service_tier": "default"}, ANT: {"service_tier": "standard_only"}},
        SAME
        | {
            (OAI, ANT): Carried({"service_tier": "standard_only"}),
            (ANT, OAI): Carried({"service_tier": "default"}),
        },
    ),
    Ask(
        "a tier only one vendor has",
        {OAI: {"service_tier": "flex"}},
        SAME
        | {
            (OAI, ANT): Carried({"service_tier": ABSENT}, ("service_tier",)),
            **unaskable(ANT, "its tiers exist on both sides"),
        },
    ),
    Ask(
        "fields nobody knows",
        {OAI: {"novelty": {"x": 1}}, ANT: {"novelty": {"x": 1}}},
        SAME
        | {
            (OAI, ANT): Carried({"novelty": ABSENT}, ("novelty",)),
            (ANT, OAI): Carried({"novelty": ABSENT}, ("novelty",)),
        },
    ),
]

ASKS = [*CONVERSATIONS, *TOOLS, *CONTENT, *THINKING, *KNOBS]
