"""The dialect matrix: tools, calls of them and what they returned."""

from typing import Any

from tests.conformance.matrix_cells import (
    ANYTHING,
    CHAT,
    GEMINI,
    ITS_PLACES,
    MESSAGES,
    Ask,
    Carried,
    Refused,
    asks,
    clients,
    upstreams,
)
from tests.conformance.matrix_wire import (
    A_DATA_IMAGE,
    A_HI,
    A_TOOL,
    G_DATA_IMAGE,
    G_FUNCTION,
    G_HI,
    HI,
    NO_TOOLS,
    O_DATA_IMAGE,
    O_FUNCTION,
    O_TOOL,
    R_DATA_IMAGE,
    R_HI,
    R_TOOL,
    a_call,
    a_result,
    g_call,
    g_calling,
    g_result,
    g_said,
    g_tools,
    g_turns,
    g_user,
    o_call,
    o_calls,
    o_result,
    r_call,
    r_items,
    r_result,
    r_text,
    said,
    text,
    turns,
    user,
)

G_TOOL = g_tools(G_FUNCTION)
NO_ERRORS = "results have no error mark"
OTHERS_UNTOLD = "the others are not offered"
AS_FUNCTION = "as a function of one string"
JOINED = "under a joined name"
NULLABLE = {"type": "object", "properties": {"a": {"type": ["string", "null"]}}}
ANY = g_calling("ANY")
O_LOOP = [
    HI,
    o_calls(o_call("c1"), o_call("c2")),
    o_result("c1", "one"),
    o_result("c2", "two"),
]
R_LOOP = [R_HI, r_call("c1"), r_call("c2"), r_result("c1", "one"), r_result("c2", "two")]
A_LOOP = [
    HI,
    said(a_call("c1"), a_call("c2")),
    user(a_result("c1", "one"), a_result("c2", "two")),
]
G_LOOP = [
    G_HI,
    g_said(g_call("c1"), g_call("c2")),
    g_user(g_result("c1", {"output": "one"}), g_result("c2", {"output": "two"})),
]


def o_tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def of_text(name: str) -> dict[str, Any]:
    """What is said of a function that takes one string, its schema under `name`."""
    schema = {"type": "object", "required": ["input"]}
    return {"description": ANYTHING, name: schema}


OFFERS = [
    Ask(
        "tools",
        clients(
            chat={"tools": [O_TOOL]},
            responses={"tools": [R_TOOL]},
            messages={"tools": [A_TOOL]},
            gemini=G_TOOL,
            text=NO_TOOLS,
        ),
        upstreams(
            chat={"tools": [O_TOOL]},
            responses={"tools": [{**R_TOOL, "strict": False}]},
            messages={"tools": [A_TOOL]},
            gemini=G_TOOL,
        ),
    ),
    Ask(
        "tools in Google's schema language",
        clients(
            chat="parameters are JSON schema",
            responses="parameters are JSON schema",
            messages="parameters are JSON schema",
            gemini=g_tools(
                {
                    "name": "f",
                    "parameters": {
                        "type": "OBJECT",
                        "properties": {"a": {"type": "STRING", "nullable": True}},
                    },
                }
            ),
            text=NO_TOOLS,
        ),
        upstreams(
            chat=Carried(
                {"tools": [{"function": {"parameters": NULLABLE}}]}, note="as JSON schema"
            ),
            responses=Carried({"tools": [{"parameters": NULLABLE}]}, note="as JSON schema"),
            messages=Carried({"tools": [{"input_schema": NULLABLE}]}, note="as JSON schema"),
        ),
    ),
    Ask(
        "strict tools",
        clients(
            chat=asks(
                {"tools": [{**O_TOOL, "function": {**O_FUNCTION, "strict": True}}]},
                "tools[0].strict",
            ),
            responses=asks({"tools": [{**R_TOOL, "strict": True}]}, "tools[0].strict"),
            messages=asks({"tools": [{**A_TOOL, "strict": True}]}, "tools.0.strict"),
            gemini="functions have no such mark",
            text=NO_TOOLS,
        ),
        upstreams(
            chat={"tools": [{"function": {"strict": True}}]},
            responses={"tools": [{"strict": True}]},
            messages={"tools": [{"strict": True}]},
            gemini=Carried(G_TOOL, ITS_PLACES),
        ),
    ),
    Ask(
        "any tool must be used",
        clients(
            chat={"tools": [O_TOOL], "tool_choice": "required"},
            responses={"tools": [R_TOOL], "tool_choice": "required"},
            messages={"tools": [A_TOOL], "tool_choice": {"type": "any"}},
            gemini=G_TOOL | g_calling("ANY"),
            text=NO_TOOLS,
        ),
        upstreams(
            chat={"tool_choice": "required"},
            responses={"tool_choice": "required"},
            messages={"tool_choice": {"type": "any"}},
            gemini=g_calling("ANY"),
        ),
    ),
    Ask(
        "one tool must be used",
        clients(
            chat={
                "tools": [O_TOOL],
                "tool_choice": {"type": "function", "function": {"name": "f"}},
            },
            responses={"tools": [R_TOOL], "tool_choice": {"type": "function", "name": "f"}},
            messages={"tools": [A_TOOL], "tool_choice": {"type": "tool", "name": "f"}},
            gemini=G_TOOL | g_calling("ANY", "f"),
            text=NO_TOOLS,
        ),
        upstreams(
            chat={"tool_choice": {"type": "function", "function": {"name": "f"}}},
            responses={"tool_choice": {"type": "function", "name": "f"}},
            messages={"tool_choice": {"type": "tool", "name": "f"}},
            gemini=g_calling("ANY", "f"),
        ),
    ),
    Ask(
        "no tool may be used",
        clients(
            chat={"tools": [O_TOOL], "tool_choice": "none"},
            responses={"tools": [R_TOOL], "tool_choice": "none"},
            messages={"tools": [A_TOOL], "tool_choice": {"type": "none"}},
            gemini=G_TOOL | g_calling("NONE"),
            text=NO_TOOLS,
        ),
        upstreams(
            chat={"tool_choice": "none"},
            responses={"tool_choice": "none"},
            messages={"tool_choice": {"type": "none"}},
            gemini=g_calling("NONE"),
        ),
    ),
    Ask(
        "only some of the tools may be used",
        clients(
            chat={
                "tools": [O_TOOL, o_tool("g"), o_tool("h")],
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "required",
                        "tools": [{"type": "function", "function": {"name": n}} for n in "fg"],
                    },
                },
            },
            responses={
                "tools": [R_TOOL, {**R_TOOL, "name": "g"}, {**R_TOOL, "name": "h"}],
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "required",
                    "tools": [{"type": "function", "name": name} for name in "fg"],
                },
            },
            messages="a choice names one tool or none",
            gemini=g_tools(G_FUNCTION, {"name": "g"}, {"name": "h"}) | g_calling("ANY", "f", "g"),
            text=NO_TOOLS,
        ),
        upstreams(
            chat=Carried(
                {
                    "tools": [{"function": {"name": "f"}}, {"function": {"name": "g"}}],
                    "tool_choice": "required",
                },
                note=OTHERS_UNTOLD,
            ),
            responses=Carried(
                {"tools": [{"name": "f"}, {"name": "g"}], "tool_choice": "required"},
                note=OTHERS_UNTOLD,
            ),
            messages=Carried(
                {"tools": [{"name": "f"}, {"name": "g"}], "tool_choice": {"type": "any"}},
                note=OTHERS_UNTOLD,
            ),
            gemini=Carried(g_tools({"name": "f"}, {"name": "g"}) | ANY, note=OTHERS_UNTOLD),
        ),
    ),
    Ask(
        "one tool call at a time",
        clients(
            chat={"tools": [O_TOOL], "parallel_tool_calls": False},
            responses={"tools": [R_TOOL], "parallel_tool_calls": False},
            messages={
                "tools": [A_TOOL],
                "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
            },
            gemini="the model decides",
            text=NO_TOOLS,
        ),
        upstreams(
            chat={"parallel_tool_calls": False},
            responses={"parallel_tool_calls": False},
            messages={"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
            gemini=Carried(G_TOOL, ("parallel_tool_calls",)),
        ),
        pairs={
            (MESSAGES, CHAT): Carried({"tool_choice": "auto", "parallel_tool_calls": False}),
        },
    ),
]

SEARCHES = {
    "chat": {"type": "web_search"},
    "responses": {"type": "web_search"},
    "messages": {"type": "web_search_20250305", "name": "web_search"},
    "gemini": {"googleSearch": {}},
}
OWN = [
    Ask(
        "a tool of the client's that is no function",
        clients(
            chat=asks({"tools": [{"type": "custom", "custom": {"name": "sql"}}]}, "tools[0]"),
            responses={
                "tools": [
                    {
                        "type": "custom",
                        "name": "sql",
                        "description": "Ask.",
                        "format": {"type": "grammar", "syntax": "lark", "definition": "start: X"},
                    }
                ]
            },
            messages="every tool of a client's is a function",
            gemini="every tool of a client's is a function",
            text=NO_TOOLS,
        ),
        upstreams(
            chat=Carried(
                {"tools": [{"function": {"name": "sql", **of_text("parameters")}}]},
                note=AS_FUNCTION,
            ),
            responses=Refused(),
            messages=Carried(
                {"tools": [{"name": "sql", **of_text("input_schema")}]}, note=AS_FUNCTION
            ),
            gemini=Carried(
                g_tools({"name": "sql", **of_text("parametersJsonSchema")}), note=AS_FUNCTION
            ),
        ),
        pairs={(CHAT, MESSAGES): Refused(), (CHAT, GEMINI): Refused()},
    ),
    Ask(
        "tools in a namespace",
        clients(
            chat="names are flat",
            responses={"tools": [{"type": "namespace", "name": "mcp", "tools": [R_TOOL]}]},
            messages="names are flat",
            gemini="names are flat",
            text=NO_TOOLS,
        ),
        upstreams(
            chat=Carried({"tools": [{"function": {"name": "mcp__f"}}]}, note=JOINED),
            messages=Carried({"tools": [{"name": "mcp__f"}]}, note=JOINED),
            gemini=Carried(g_tools({"name": "mcp__f"}), note=JOINED),
        ),
    ),
    Ask(
        "the vendor's own tools alone",
        clients(
            chat=asks({"tools": [SEARCHES["chat"]]}, "tools[0]"),
            responses=asks({"tools": [SEARCHES["responses"]]}, "tools[0]"),
            messages=asks({"tools": [SEARCHES["messages"]]}, "tools.0"),
            gemini=asks({"tools": [SEARCHES["gemini"]]}, "tools[0].googleSearch"),
            text=NO_TOOLS,
        ),
        upstreams(chat=Refused(), responses=Refused(), messages=Refused(), gemini=Refused()),
    ),
    Ask(
        "the vendor's own tools beside functions",
        clients(
            chat=asks({"tools": [O_TOOL, SEARCHES["chat"]]}, "tools[1]"),
            responses=asks({"tools": [R_TOOL, SEARCHES["responses"]]}, "tools[1].web_search"),
            messages=asks({"tools": [A_TOOL, SEARCHES["messages"]]}, "tools.1"),
            gemini=asks({"tools": [*G_TOOL["tools"], SEARCHES["gemini"]]}, "tools[1].googleSearch"),
            text=NO_TOOLS,
        ),
        upstreams(
            chat=Carried({"tools": [O_TOOL]}, ITS_PLACES),
            responses=Carried({"tools": [R_TOOL]}, ITS_PLACES),
            messages=Carried({"tools": [A_TOOL]}, ITS_PLACES),
            gemini=Carried(G_TOOL, ITS_PLACES),
        ),
    ),
    Ask(
        "the vendor's own tool demanded",
        clients(
            chat="a choice names functions",
            responses=asks(
                {
                    "tools": [R_TOOL, SEARCHES["responses"]],
                    "tool_choice": {"type": "web_search"},
                },
                "tools[1]",
            ),
            messages=asks(
                {
                    "tools": [A_TOOL, SEARCHES["messages"]],
                    "tool_choice": {"type": "tool", "name": "web_search"},
                },
                "tools.1",
            ),
            gemini="a choice names functions",
            text=NO_TOOLS,
        ),
        upstreams(chat=Refused(), responses=Refused(), messages=Refused(), gemini=Refused()),
    ),
]

HISTORY = [
    Ask(
        "parallel tool calls and their results",
        clients(
            chat=turns(*O_LOOP),
            responses=r_items(HI, *R_LOOP[1:]),
            messages=turns(*A_LOOP),
            gemini=g_turns(*G_LOOP),
            text=NO_TOOLS,
        ),
        upstreams(
            chat=turns(*O_LOOP),
            responses=r_items(*R_LOOP),
            messages=turns(
                A_HI,
                said(a_call("c1"), a_call("c2")),
                user(a_result("c1", [text("one")]), a_result("c2", [text("two")])),
            ),
            gemini=g_turns(*G_LOOP),
        ),
    ),
    Ask(
        "calls and results without ids",
        clients(
            chat="calls have ids",
            responses="calls have ids",
            messages="calls have ids",
            gemini=g_turns(
                G_HI,
                g_said({"functionCall": {"name": "f", "args": {"a": "b"}}}),
                g_user({"functionResponse": {"name": "f", "response": {"output": "one"}}}),
            ),
            text=NO_TOOLS,
        ),
        upstreams(
            chat=Carried(
                turns(HI, o_calls(o_call("call_1_0")), o_result("call_1_0", "one")),
                note="ids are made from places",
            ),
            responses=Carried(
                r_items(R_HI, r_call("call_1_0"), r_result("call_1_0", "one")),
                note="ids are made from places",
            ),
            messages=Carried(
                turns(A_HI, said(a_call("call_1_0")), user(a_result("call_1_0", [text("one")]))),
                note="ids are made from places",
            ),
        ),
    ),
    Ask(
        "tool results with images",
        clients(
            chat=turns(*O_LOOP[:3], o_result("c2", [text("two"), O_DATA_IMAGE])),
            responses=r_items(HI, *R_LOOP[1:4], r_result("c2", [r_text("two"), R_DATA_IMAGE])),
            messages=turns(
                *A_LOOP[:2],
                user(a_result("c1", "one"), a_result("c2", [text("two"), A_DATA_IMAGE])),
            ),
            gemini=g_turns(
                *G_LOOP[:2],
                g_user(
                    g_result("c1", {"output": "one"}),
                    g_result("c2", {"output": "two"}, parts=[G_DATA_IMAGE]),
                ),
            ),
            text=NO_TOOLS,
        ),
        upstreams(
            chat=Carried(
                turns(
                    *O_LOOP[:3],
                    {"role": "tool", "tool_call_id": "c2", "content": ANYTHING},
                    user({"type": "text"}, O_DATA_IMAGE),
                ),
                note="the images follow in a user message that names the call",
            ),
            responses=r_items(*R_LOOP[:4], r_result("c2", [r_text("two"), R_DATA_IMAGE])),
            messages=turns(
                A_HI,
                {"role": "assistant"},
                user({"type": "tool_result"}, a_result("c2", [text("two"), A_DATA_IMAGE])),
            ),
            gemini=Carried(
                g_turns(
                    *G_LOOP[:2],
                    g_user(
                        g_result("c1", {"output": "one"}),
                        g_result("c2", {"output": "two"}),
                        {"text": ANYTHING},
                        G_DATA_IMAGE,
                    ),
                ),
                note="inside the result; before Gemini 3 behind it in the same turn",
            ),
        ),
    ),
    Ask(
        "tool results with images for a model that takes them",
        clients(
            chat=turns(*O_LOOP[:3], o_result("c2", [text("two"), O_DATA_IMAGE])),
            responses=r_items(HI, *R_LOOP[1:4], r_result("c2", [r_text("two"), R_DATA_IMAGE])),
            messages=turns(
                *A_LOOP[:2],
                user(a_result("c1", "one"), a_result("c2", [text("two"), A_DATA_IMAGE])),
            ),
            gemini="all models of the other dialects are treated alike",
            text=NO_TOOLS,
        ),
        upstreams(
            chat=turns(*O_LOOP[:3], {}, {}),
            responses=r_items(*R_LOOP[:4], {"output": [r_text("two"), R_DATA_IMAGE]}),
            messages=turns(A_HI, {}, user({}, a_result("c2", [text("two"), A_DATA_IMAGE]))),
            gemini=g_turns(
                G_HI,
                {"role": "model"},
                g_user(
                    g_result("c1", {"output": "one"}),
                    g_result("c2", {"output": "two"}, parts=[G_DATA_IMAGE]),
                ),
            ),
        ),
        models={GEMINI: "gemini-3-pro-preview"},
        is_variant=True,
    ),
    Ask(
        "failed tool results",
        clients(
            chat=NO_ERRORS,
            responses=NO_ERRORS,
            messages=asks(
                turns(HI, said(a_call("c1")), user(a_result("c1", "bad", is_error=True))),
                "messages.2.content.0.is_error",
            ),
            gemini=asks(
                g_turns(G_HI, g_said(g_call("c1")), g_user(g_result("c1", {"error": "bad"}))),
                "contents[2].parts[0].is_error",
            ),
            text=NO_TOOLS,
        ),
        upstreams(
            chat=Carried(turns(HI, {}, o_result("c1", "bad")), ITS_PLACES),
            responses=Carried(r_items(R_HI, {}, r_result("c1", "bad")), ITS_PLACES),
            messages=turns(A_HI, {}, user(a_result("c1", [text("bad")], is_error=True))),
            gemini=g_turns(G_HI, {}, g_user(g_result("c1", {"error": "bad"}))),
        ),
    ),
    Ask(
        "calls of tools that are no functions",
        clients(
            chat=asks(
                turns(
                    HI,
                    o_calls({"id": "c1", "type": "custom", "custom": {"name": "q", "input": "1"}}),
                    o_result("c1", "one"),
                ),
                "messages[1].tool_calls[0]",
            ),
            responses=r_items(
                HI,
                {"type": "custom_tool_call", "call_id": "c1", "name": "q", "input": "1"},
                {"type": "custom_tool_call_output", "call_id": "c1", "output": "one"},
            ),
            messages="every tool of a client's is a function",
            gemini="every tool of a client's is a function",
            text=NO_TOOLS,
        ),
        upstreams(
            chat=Carried(
                turns(HI, o_calls(o_call("c1", "q", '{"input":"1"}')), o_result("c1", "one")),
                note=AS_FUNCTION,
            ),
            responses=Refused(),
            messages=Carried(
                turns(A_HI, said({**a_call("c1", "q"), "input": {"input": "1"}}), {}),
                note=AS_FUNCTION,
            ),
            gemini=Carried(
                g_turns(
                    G_HI,
                    g_said({"functionCall": {"id": "c1", "name": "q", "args": {"input": "1"}}}),
                    {},
                ),
                note=AS_FUNCTION,
            ),
        ),
        pairs={(CHAT, MESSAGES): Refused(), (CHAT, GEMINI): Refused()},
    ),
    Ask(
        "calls of a namespace's tools",
        clients(
            chat="names are flat",
            responses=r_items(HI, {**r_call("c1"), "namespace": "mcp"}, r_result("c1", "one")),
            messages="names are flat",
            gemini="names are flat",
            text=NO_TOOLS,
        ),
        upstreams(
            chat=Carried(turns(HI, o_calls(o_call("c1", "mcp__f")), {}), note=JOINED),
            messages=Carried(turns(A_HI, said(a_call("c1", "mcp__f")), {}), note=JOINED),
            gemini=Carried(g_turns(G_HI, g_said(g_call("c1", "mcp__f")), {}), note=JOINED),
        ),
    ),
    Ask(
        "what the vendor's own tools did, in history",
        clients(
            chat="they leave nothing in history",
            responses=asks(
                r_items(HI, {"type": "web_search_call", "id": "ws_1", "status": "completed"}, HI),
                "input[1]",
            ),
            messages=asks(
                turns(
                    HI,
                    said(
                        {
                            "type": "server_tool_use",
                            "id": "srvtoolu_1",
                            "name": "web_search",
                            "input": {"query": "q"},
                        }
                    ),
                    HI,
                ),
                "messages.1.content.0",
            ),
            gemini=asks(
                g_turns(
                    G_HI,
                    g_said({"executableCode": {"language": "PYTHON", "code": "1"}}),
                    G_HI,
                ),
                "contents[1].parts[0]",
            ),
            text=NO_TOOLS,
        ),
        upstreams(chat=Refused(), responses=Refused(), messages=Refused(), gemini=Refused()),
    ),
]

TOOLS = [*OFFERS, *OWN, *HISTORY]
