"""The dialect matrix: how much to think, and earlier thoughts sent back."""

from base64 import b64encode

from meterway.protocols.chat.envelopes import Envelope, seal
from tests.conformance.matrix_cells import (
    ABSENT,
    CHAT,
    GEMINI,
    ITS_PLACES,
    MESSAGES,
    RESPONSES,
    Ask,
    Carried,
    asks,
    clients,
    upstreams,
)
from tests.conformance.matrix_wire import (
    A_HI,
    G_HI,
    HI,
    NO_TOOLS,
    R_HI,
    Wire,
    a_call,
    a_result,
    g_call,
    g_config,
    g_result,
    g_said,
    g_text,
    g_turns,
    g_user,
    o_call,
    o_calls,
    o_result,
    r_call,
    r_items,
    r_result,
    r_said,
    said,
    text,
    turns,
)

UNSIGNED = "without the signature"
LEAST = "as little as the model can"
NO_THINKING = "completions know nothing of thinking"
OLD_CLAUDE, NEW_GEMINI, ROUTED = (
    "claude-sonnet-4-20250514",
    "gemini-3-flash-preview",
    "anthropic/claude-sonnet-4.5",
)


def thinking(**config: object) -> Wire:
    return g_config(thinkingConfig=config)


AMOUNTS = [
    Ask(
        "effort",
        clients(
            chat={"reasoning_effort": "high"},
            responses={"reasoning": {"effort": "high"}},
            messages={"output_config": {"effort": "high"}},
            gemini=thinking(thinkingLevel="HIGH"),
            text=NO_THINKING,
        ),
        upstreams(
            chat={"reasoning_effort": "high"},
            responses={"reasoning": {"effort": "high"}, "include": ["reasoning.encrypted_content"]},
            messages=Carried(
                {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
                note="adaptive thinking and effort; a budget for models before Claude 4.6",
            ),
            gemini=Carried(
                thinking(thinkingLevel="high", includeThoughts=True),
                note="as a level; before Gemini 3 as a budget",
            ),
        ),
        models={GEMINI: NEW_GEMINI},
    ),
    Ask(
        "effort for models with budgets",
        clients(
            chat={"reasoning_effort": "high"},
            responses={"reasoning": {"effort": "high"}},
            messages={"output_config": {"effort": "high"}},
            gemini=thinking(thinkingLevel="HIGH"),
            completions=NO_THINKING,
            complete=NO_THINKING,
        ),
        upstreams(
            chat={"reasoning_effort": "high"},
            responses={"reasoning": {"effort": "high"}},
            messages=Carried(
                {"thinking": {"type": "enabled", "budget_tokens": 16384}}, note="as a budget"
            ),
            gemini=Carried(
                thinking(thinkingBudget=24576, includeThoughts=True), note="as a budget"
            ),
        ),
        models={MESSAGES: OLD_CLAUDE},
        is_variant=True,
    ),
    Ask(
        "thinking budget",
        clients(
            chat={"reasoning": {"max_tokens": 8000}},
            responses="how much to think is an effort",
            messages={
                "max_tokens": 9000,
                "thinking": {"type": "enabled", "budget_tokens": 8000},
            },
            gemini=thinking(thinkingBudget=8000),
            text=NO_THINKING,
        ),
        upstreams(
            chat=Carried({"reasoning_effort": "medium"}, note="as the nearest effort"),
            responses=Carried(
                {"reasoning": {"effort": "medium", "summary": "auto"}},
                note="as the nearest effort",
            ),
            messages=Carried(
                {"thinking": {"type": "enabled", "budget_tokens": 8000}, "max_tokens": 16192},
                note="as a budget; the nearest effort for models since Claude 4.7",
            ),
            gemini=Carried(
                thinking(thinkingBudget=8000, includeThoughts=True),
                note="as a budget; the nearest level since Gemini 3",
            ),
        ),
        models={MESSAGES: OLD_CLAUDE},
    ),
    Ask(
        "no thinking",
        clients(
            chat={"reasoning_effort": "none"},
            responses={"reasoning": {"effort": "none"}},
            messages={"thinking": {"type": "disabled"}},
            gemini=thinking(thinkingBudget=0),
            text=NO_THINKING,
        ),
        upstreams(
            chat=Carried({"reasoning_effort": "none"}),
            responses=Carried({"reasoning": {"effort": "none"}, "include": ABSENT}),
            messages={"thinking": {"type": "disabled"}},
            gemini=thinking(thinkingBudget=0, includeThoughts=ABSENT),
        ),
        pairs={
            (MESSAGES, CHAT): Carried({"reasoning_effort": "minimal"}, note=LEAST),
            (MESSAGES, RESPONSES): Carried({"reasoning": {"effort": "minimal"}}, note=LEAST),
            (GEMINI, CHAT): Carried({"reasoning_effort": "minimal"}, note=LEAST),
            (GEMINI, RESPONSES): Carried({"reasoning": {"effort": "minimal"}}, note=LEAST),
        },
    ),
    Ask(
        "no thinking for a model that always thinks",
        clients(
            chat={"reasoning_effort": "none"},
            responses={"reasoning": {"effort": "none"}},
            messages={"thinking": {"type": "disabled"}},
            gemini=thinking(thinkingBudget=0),
            text=NO_THINKING,
        ),
        upstreams(
            chat=Carried({"reasoning_effort": "none"}),
            responses=Carried({"reasoning": {"effort": "none"}}),
            messages=Carried(
                {"thinking": ABSENT, "output_config": {"effort": "low"}},
                ("reasoning",),
                note=LEAST,
            ),
            gemini=Carried(thinking(thinkingLevel="low"), ("reasoning_effort",), note=LEAST),
        ),
        pairs={
            (MESSAGES, CHAT): Carried({"reasoning_effort": "low"}, note=LEAST),
            (MESSAGES, RESPONSES): Carried({"reasoning": {"effort": "low"}}, note=LEAST),
            (GEMINI, CHAT): Carried({"reasoning_effort": "low"}, note=LEAST),
            (GEMINI, RESPONSES): Carried({"reasoning": {"effort": "low"}}, note=LEAST),
            (MESSAGES, GEMINI): Carried(thinking(thinkingLevel="low"), ("thinking",), note=LEAST),
        },
        models={
            CHAT: "o3",
            RESPONSES: "o3",
            MESSAGES: "claude-mythos-5",
            GEMINI: "gemini-3-pro-preview",
        },
    ),
    Ask(
        "thinking, as much as the model finds right",
        clients(
            chat={"thinking": {"type": "adaptive"}},
            responses="without an effort the model's default stands",
            messages={"thinking": {"type": "adaptive"}},
            gemini=thinking(includeThoughts=True),
            text=NO_THINKING,
        ),
        upstreams(
            chat=Carried({"reasoning_effort": ABSENT}, ("thinking",)),
            responses=Carried(
                {"reasoning": {"summary": "auto", "effort": ABSENT}},
                note="the thoughts are told in a summary",
            ),
            messages={"thinking": {"type": "adaptive"}},
            gemini=thinking(includeThoughts=True, thinkingLevel=ABSENT),
        ),
        models={GEMINI: NEW_GEMINI},
    ),
    Ask(
        "how thoughts are told",
        clients(
            chat="thoughts are told where there are any",
            responses=asks({"reasoning": {"effort": "high", "summary": "detailed"}}),
            messages=asks(
                {"thinking": {"type": "adaptive", "display": "omitted"}}, "thinking.display"
            ),
            gemini="thoughts are told where there are any",
            text=NO_THINKING,
        ),
        upstreams(
            chat=Carried({"reasoning_effort": ABSENT}, ("thinking.display", "thinking")),
            responses=Carried({"reasoning": {"summary": "auto"}}, ITS_PLACES),
            messages=Carried({"thinking": {"type": "adaptive"}}),
            gemini=Carried(thinking(includeThoughts=True), ITS_PLACES),
        ),
        pairs={
            (RESPONSES, CHAT): Carried({"reasoning_effort": "high"}),
            (RESPONSES, GEMINI): Carried(thinking(thinkingLevel="high", includeThoughts=True)),
        },
        models={GEMINI: NEW_GEMINI},
    ),
]

# Thoughts in history. Each vendor can read its own alone: another's are left out and named.
# What a client of another dialect is told of them, and sends back, is in the gateway's envelopes.
OF_ANTHROPIC, HIDDEN, OF_OPENAI, OF_GEMINI = (
    seal(Envelope(MESSAGES, "signature", "SIG")),
    seal(Envelope(MESSAGES, "redacted", "DATA")),
    seal(Envelope(RESPONSES, "item", "SECRET", "rs_1")),
    seal(Envelope(GEMINI, "signature", "SIG")),
)
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "SIG"}
REDACTED = {"type": "redacted_thinking", "data": "DATA"}
DETAIL = {"type": "reasoning.text", "text": "hm", "signature": "SIG", "index": 0}
ENCRYPTED = {"type": "reasoning.encrypted", "data": "DATA", "index": 0}
PLACES = (
    "messages[1].reasoning_details[0]",
    "input[1]",
    "messages.1.content.0",
    "contents[1].parts[0]",
)


def o_thought(**keys: object) -> Wire:
    """A turn of the model's that thought, between two of the user's."""
    return turns(HI, {"role": "assistant", "content": "a", **keys}, HI)


def o_signed(signature: str) -> Wire:
    return o_thought(reasoning_details=[{**DETAIL, "signature": signature}])


def r_thought(encrypted: str | None, words: str = "hm") -> Wire:
    summary = [{"type": "summary_text", "text": words}] if words else []
    item = {"type": "reasoning", "id": "rs_1", "summary": summary}
    item |= {} if encrypted is None else {"encrypted_content": encrypted}
    return r_items(HI, item, {"role": "assistant", "content": "a"}, HI)


def a_thought(block: Wire) -> Wire:
    return turns(HI, said(block, text("a")), HI)


def a_signed(signature: str) -> Wire:
    return a_thought({**THOUGHT, "signature": signature})


def g_thought(mark: str | None, words: str = "hm") -> Wire:
    signature = {} if mark is None else {"thoughtSignature": mark}
    return g_turns(G_HI, g_said({"text": words, "thought": True, **signature}, g_text("a")), G_HI)


def g_mark(kind: str, value: str) -> str:
    """Another vendor's proof as a Gemini client is told of it: bytes in base64."""
    return b64encode(f"meterway:{kind}{value}".encode()).decode()


NO_KEYS = {"reasoning_content": ABSENT, "reasoning_details": ABSENT}
O_WITHOUT = Carried(o_thought(**NO_KEYS), ITS_PLACES)
R_WITHOUT = Carried(r_items(R_HI, r_said("a"), R_HI), ITS_PLACES)
A_WITHOUT = Carried(turns(A_HI, said(text("a")), A_HI), ITS_PLACES)
G_WITHOUT = Carried(g_turns(G_HI, g_said(g_text("a")), G_HI), ITS_PLACES)
UNREADABLE = "left out, as another vendor's"
R_PASSED_WITHOUT = Carried(r_items(HI, {"role": "assistant", "content": "a"}, HI), note=UNREADABLE)
A_PASSED_WITHOUT = Carried(turns(HI, said(text("a")), HI), note=UNREADABLE)
G_PASSED_WITHOUT = Carried(G_WITHOUT.body, note=UNREADABLE)
R_PASSED_UNSIGNED = Carried(R_PASSED_WITHOUT.body, note="left out, as nobody signed it")

HISTORY = [
    Ask(
        "signed thinking in history",
        clients(
            chat=asks(o_signed("SIG"), PLACES[0]),
            responses=asks(r_thought(OF_ANTHROPIC), PLACES[1]),
            messages=asks(a_signed("SIG"), PLACES[2]),
            gemini=asks(g_thought(g_mark("s", "SIG")), PLACES[3]),
            text=NO_THINKING,
        ),
        upstreams(
            chat=Carried(
                o_thought(reasoning_details=[DETAIL]),
                note="as `reasoning_details` where a router serves Claude; else left out and named",
            ),
            responses=R_WITHOUT,
            messages=turns(A_HI, said(THOUGHT, text("a")), A_HI),
            gemini=G_WITHOUT,
        ),
        pairs={
            (RESPONSES, RESPONSES): R_PASSED_WITHOUT,
            (GEMINI, GEMINI): G_PASSED_WITHOUT,
        },
        models={CHAT: ROUTED},
    ),
    Ask(
        "signed thinking in history, for OpenAI's models",
        clients(
            chat=asks(o_signed("SIG"), PLACES[0]),
            responses=asks(r_thought(OF_ANTHROPIC), PLACES[1]),
            messages=asks(a_signed("SIG"), PLACES[2]),
            gemini=asks(g_thought(g_mark("s", "SIG")), PLACES[3]),
            text=NO_THINKING,
        ),
        upstreams(
            chat=O_WITHOUT,
            responses=R_WITHOUT,
            messages=turns(A_HI, said(THOUGHT, text("a")), A_HI),
            gemini=G_WITHOUT,
        ),
        pairs={
            (RESPONSES, RESPONSES): R_PASSED_WITHOUT,
            (GEMINI, GEMINI): G_PASSED_WITHOUT,
        },
        is_variant=True,
    ),
    Ask(
        "redacted thinking in history",
        clients(
            chat=asks(o_thought(reasoning_details=[ENCRYPTED]), PLACES[0]),
            responses=asks(r_thought(HIDDEN, ""), PLACES[1]),
            messages=asks(a_thought(REDACTED), PLACES[2]),
            gemini=asks(g_thought(g_mark("r", "DATA"), ""), PLACES[3]),
            text=NO_THINKING,
        ),
        upstreams(
            chat=Carried(
                o_thought(reasoning_details=[ENCRYPTED]),
                note="as `reasoning_details` where a router serves Claude; else left out and named",
            ),
            responses=R_WITHOUT,
            messages=turns(A_HI, said(REDACTED, text("a")), A_HI),
            gemini=G_WITHOUT,
        ),
        pairs={
            (RESPONSES, RESPONSES): R_PASSED_WITHOUT,
            (GEMINI, GEMINI): G_PASSED_WITHOUT,
        },
        models={CHAT: ROUTED},
    ),
    Ask(
        "OpenAI's reasoning items in history",
        clients(
            chat=asks(o_signed(OF_OPENAI), PLACES[0]),
            responses=asks(r_thought("SECRET"), PLACES[1]),
            messages=asks(a_signed(OF_OPENAI), PLACES[2]),
            gemini=asks(g_thought(g_mark("s", OF_OPENAI)), PLACES[3]),
            text=NO_THINKING,
        ),
        upstreams(
            chat=O_WITHOUT,
            responses=r_items(
                R_HI,
                {
                    "type": "reasoning",
                    "id": "rs_1",
                    "summary": [{"type": "summary_text", "text": "hm"}],
                    "encrypted_content": "SECRET",
                },
                r_said("a"),
                R_HI,
            ),
            messages=A_WITHOUT,
            gemini=G_WITHOUT,
        ),
        pairs={(MESSAGES, MESSAGES): A_PASSED_WITHOUT, (GEMINI, GEMINI): G_PASSED_WITHOUT},
        models={CHAT: ROUTED},
    ),
    Ask(
        "Gemini's signed thoughts in history",
        clients(
            chat=asks(o_signed(OF_GEMINI), PLACES[0]),
            responses=asks(r_thought(OF_GEMINI), PLACES[1]),
            messages=asks(a_signed(OF_GEMINI), PLACES[2]),
            gemini=asks(g_thought("SIG"), PLACES[3]),
            text=NO_THINKING,
        ),
        upstreams(
            chat=O_WITHOUT,
            responses=R_WITHOUT,
            messages=A_WITHOUT,
            gemini=g_thought("SIG"),
        ),
        pairs={
            (RESPONSES, RESPONSES): R_PASSED_WITHOUT,
            (MESSAGES, MESSAGES): A_PASSED_WITHOUT,
        },
        models={CHAT: ROUTED},
    ),
    Ask(
        "unsigned thinking in history",
        clients(
            chat=asks(o_thought(reasoning_content="hm"), "messages[1].reasoning_content"),
            responses=asks(r_thought(None), PLACES[1]),
            messages=asks(a_signed(""), PLACES[2]),
            gemini=asks(g_thought(None), PLACES[3]),
            text=NO_THINKING,
        ),
        upstreams(chat=O_WITHOUT, responses=R_WITHOUT, messages=A_WITHOUT, gemini=G_WITHOUT),
        pairs={(RESPONSES, RESPONSES): R_PASSED_UNSIGNED},
    ),
    Ask(
        "unsigned thinking in history, for models that want it back",
        clients(
            chat=asks(o_thought(reasoning_content="hm"), "messages[1].reasoning_content"),
            responses=asks(r_thought(None), PLACES[1]),
            messages=asks(a_signed(""), PLACES[2]),
            gemini=asks(g_thought(None), PLACES[3]),
            text=NO_THINKING,
        ),
        upstreams(
            chat=Carried(
                o_thought(reasoning_content="hm"),
                note="as `reasoning_content`, such as DeepSeek's and Kimi's",
            ),
            responses=R_WITHOUT,
            messages=A_WITHOUT,
            gemini=G_WITHOUT,
        ),
        pairs={(RESPONSES, RESPONSES): R_PASSED_UNSIGNED},
        models={CHAT: "deepseek-reasoner"},
    ),
]

CALL_STOOD_IN = Carried(
    g_turns(G_HI, g_said(g_call("c1", thoughtSignature="skip_thought_signature_validator")), {}),
    note="with the value that Google names for such histories",
)
SIGNATURES = [
    Ask(
        "Gemini's signature of a call",
        clients(
            chat="calls carry no signature",
            responses=r_items(
                HI,
                {
                    "type": "reasoning",
                    "summary": [],
                    "encrypted_content": seal(Envelope(GEMINI, "call", "SIG", "c1")),
                },
                r_call("c1"),
                r_result("c1", "one"),
            ),
            messages="calls carry no signature",
            gemini=g_turns(
                G_HI,
                g_said(g_call("c1", thoughtSignature="SIG")),
                g_user(g_result("c1", {"output": "one"})),
            ),
            text=NO_TOOLS,
        ),
        upstreams(
            chat=Carried(turns(HI, o_calls(o_call("c1")), o_result("c1", "one")), note=UNSIGNED),
            responses=Carried(r_items(R_HI, r_call("c1"), r_result("c1", "one")), note=UNSIGNED),
            messages=Carried(turns(A_HI, said(a_call("c1")), {}), note=UNSIGNED),
            gemini=g_turns(G_HI, g_said(g_call("c1", thoughtSignature="SIG")), {}),
        ),
        pairs={
            (RESPONSES, RESPONSES): Carried(
                r_items(HI, r_call("c1"), r_result("c1", "one")), note=UNSIGNED
            )
        },
        models={GEMINI: NEW_GEMINI},
    ),
    Ask(
        "calls nobody signed, for Gemini 3",
        clients(
            chat=turns(HI, o_calls(o_call("c1")), o_result("c1", "one")),
            responses=r_items(HI, r_call("c1"), r_result("c1", "one")),
            messages=turns(
                HI, said(a_call("c1")), {"role": "user", "content": [a_result("c1", "one")]}
            ),
            gemini=g_turns(G_HI, g_said(g_call("c1")), g_user(g_result("c1", {"output": "one"}))),
            text=NO_TOOLS,
        ),
        upstreams(
            chat=turns(HI, o_calls(o_call("c1")), {}),
            responses=r_items(R_HI, r_call("c1"), {}),
            messages=turns(A_HI, said(a_call("c1")), {}),
            gemini=CALL_STOOD_IN,
        ),
        pairs={(GEMINI, GEMINI): CALL_STOOD_IN},
        models={GEMINI: NEW_GEMINI},
    ),
]

REASONING = [*AMOUNTS, *HISTORY]
