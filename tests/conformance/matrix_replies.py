"""The dialect matrix: what upstreams answer, and what clients then hear."""

from meterway.protocols.chat.envelopes import Envelope, seal
from tests.conformance.matrix_answers import (
    ID,
    MODEL,
    c_heard,
    choice,
    completion,
    g_called,
    g_candidate,
    g_heard,
    generated,
    message,
    o_heard,
    of_candidates,
    r_called,
    r_heard,
    r_message,
    r_output,
    r_spoken,
    response,
    t_heard,
    use,
)
from tests.conformance.matrix_cells import (
    ABSENT,
    ANYTHING,
    CHAT,
    GEMINI,
    MESSAGES,
    RESPONSES,
    Failing,
    Heard,
    Tell,
    answers,
    hear,
)
from tests.conformance.matrix_reasoning import (
    HIDDEN,
    OF_ANTHROPIC,
    OF_GEMINI,
    OF_OPENAI,
    REDACTED,
    THOUGHT,
    g_mark,
)
from tests.conformance.matrix_wire import NO_TOOLS, Wire, g_text, o_call, text

NO_WORD = "the upstream's dialect has no word for it"
ENCRYPTED = {"include": ["reasoning.encrypted_content"]}
MADE_ID = "ids are made from the reply's"
AS_DECLARED = "as it was declared"
TOKEN = {"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}
SHOWN = {"token": "a", "logprob": -0.1}
OF_CALL = seal(Envelope(GEMINI, "call", "SIG", "c1"))

# -- content ---------------------------------------------------------------------------------------

O_CALLS = [o_call("c1", "f", '{"a":"é"}'), o_call("c2", "g", "{}")]
R_CALLS = [r_called("c1", "f", '{"a":"é"}'), r_called("c2", "g", "{}")]
A_CALLS = [use("c1", "f", {"a": "é"}), use("c2", "g", {})]
G_CALLS = [g_called("c1", "f", {"a": "é"}), g_called("c2", "g", {})]


def r_heard_calls(*calls: Wire) -> list[Wire]:
    """Calls as a client hears them: ids of items are the gateway's own."""
    return [{key: value for key, value in call.items() if key != "id"} for call in calls]


CONTENT = [
    Tell(
        "text",
        answers(
            chat=completion(content="Hi é"),
            responses=response(r_message(r_output("Hi é"))),
            messages=message(text("Hi é")),
            gemini=generated(g_text("Hi é")),
        ),
        hear(
            chat=o_heard(content="Hi é") | {"id": ID, "model": MODEL},
            responses=r_heard(r_spoken("Hi é")) | {"id": "resp_1", "model": MODEL},
            messages={"content": [text("Hi é")], "stop_reason": "end_turn"}
            | {"id": ID, "model": MODEL},
            gemini=g_heard(g_text("Hi é")) | {"responseId": ID, "modelVersion": MODEL},
            completions=t_heard("Hi é") | {"id": "cmpl-1", "model": MODEL},
            complete=c_heard("Hi é") | {"id": "compl_1", "model": MODEL},
        ),
    ),
    Tell(
        "tool call",
        answers(
            chat=completion("tool_calls", tool_calls=O_CALLS[:1]),
            responses=response(R_CALLS[0]),
            messages=message(A_CALLS[0], stop="tool_use"),
            gemini=generated(G_CALLS[0]),
        ),
        hear(
            chat=o_heard("tool_calls", content=None, tool_calls=O_CALLS[:1]),
            responses=r_heard(*r_heard_calls(R_CALLS[0])),
            messages={"content": A_CALLS[:1], "stop_reason": "tool_use"},
            gemini=g_heard(G_CALLS[0]),
            completions=Failing(NO_TOOLS),
            complete=Failing(NO_TOOLS),
        ),
    ),
    Tell(
        "text and parallel tool calls",
        answers(
            chat=completion("tool_calls", content="So:", tool_calls=O_CALLS),
            responses=response(r_message(r_output("So:")), *R_CALLS),
            messages=message(text("So:"), *A_CALLS, stop="tool_use"),
            gemini=generated(g_text("So:"), *G_CALLS),
        ),
        hear(
            chat=o_heard("tool_calls", content="So:", tool_calls=O_CALLS),
            responses=r_heard(r_spoken("So:"), *r_heard_calls(*R_CALLS)),
            messages={"content": [text("So:"), *A_CALLS], "stop_reason": "tool_use"},
            gemini=g_heard(g_text("So:"), *G_CALLS),
            completions=Failing(NO_TOOLS),
            complete=Failing(NO_TOOLS),
        ),
    ),
    Tell(
        "tool calls without ids",
        answers(
            chat="calls have ids",
            responses="calls have ids",
            messages="calls have ids",
            gemini=generated({"functionCall": {"name": "f", "args": {"a": "b"}}}),
        ),
        hear(
            chat=Heard(o_heard("tool_calls", tool_calls=[o_call("call_reply-1_0")]), note=MADE_ID),
            responses=Heard(
                r_heard({"type": "function_call", "call_id": "call_reply-1_0"}), note=MADE_ID
            ),
            messages=Heard({"content": [use("call_reply-1_0", "f", {"a": "b"})]}, note=MADE_ID),
            completions=Failing(NO_TOOLS),
            complete=Failing(NO_TOOLS),
        ),
    ),
    Tell(
        "call of a tool that is no function",
        answers(
            chat=completion("tool_calls", tool_calls=[o_call("c1", "sql", '{"input":"é 1"}')]),
            responses=response(
                {
                    "id": "ctc_1",
                    "type": "custom_tool_call",
                    "status": "completed",
                    "call_id": "c1",
                    "name": "sql",
                    "input": "é 1",
                }
            ),
            messages=message(use("c1", "sql", {"input": "é 1"}), stop="tool_use"),
            gemini=generated(g_called("c1", "sql", {"input": "é 1"})),
        ),
        hear(
            chat="every tool that travels is a function",
            responses=Heard(
                r_heard(
                    {"type": "custom_tool_call", "call_id": "c1", "name": "sql", "input": "é 1"}
                ),
                note=AS_DECLARED,
            ),
            messages="every tool of a client's is a function",
            gemini="every tool of a client's is a function",
            completions=NO_TOOLS,
            complete=NO_TOOLS,
        ),
        asking={RESPONSES: {"tools": [{"type": "custom", "name": "sql"}]}},
    ),
    Tell(
        "call of a namespace's tool",
        answers(
            chat=completion("tool_calls", tool_calls=[o_call("c1", "mcp__f")]),
            responses=response({**r_called("c1", "f", "{}"), "namespace": "mcp"}),
            messages=message(use("c1", "mcp__f", {"a": "b"}), stop="tool_use"),
            gemini=generated(g_called("c1", "mcp__f", {"a": "b"})),
        ),
        hear(
            chat="names are flat",
            responses=Heard(
                r_heard(
                    {
                        "type": "function_call",
                        "call_id": "c1",
                        "name": "f",
                        "namespace": "mcp",
                        "arguments": '{"a":"b"}',
                    }
                ),
                note=AS_DECLARED,
            ),
            messages="names are flat",
            gemini="names are flat",
            completions=NO_TOOLS,
            complete=NO_TOOLS,
        ),
        asking={
            RESPONSES: {
                "tools": [
                    {
                        "type": "namespace",
                        "name": "mcp",
                        "tools": [{"type": "function", "name": "f"}],
                    }
                ]
            }
        },
    ),
    Tell(
        "what the vendor's own tools did, in a reply",
        answers(
            chat=NO_WORD,
            responses=response(
                {"id": "ws_1", "type": "web_search_call", "status": "completed"},
                r_message(r_output("a")),
            ),
            messages=message(
                {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"q": "é"}},
                {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []},
                text("a"),
            ),
            gemini=generated(
                {"executableCode": {"language": "PYTHON", "code": "1"}},
                {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
                g_text("a"),
            ),
        ),
        hear(
            chat=Heard(o_heard(content="a"), is_told=False),
            responses=Heard(r_heard(r_spoken("a")), is_told=False),
            messages=Heard({"content": [text("a")]}, is_told=False),
            gemini=Heard(g_heard(g_text("a")), is_told=False),
            completions=Heard(t_heard("a"), is_told=False),
            complete=Heard(c_heard("a"), is_told=False),
        ),
    ),
    Tell(
        "refusal",
        answers(
            chat=completion(refusal="No."),
            responses=response(r_message({"type": "refusal", "refusal": "No."})),
            messages=message(
                stop="refusal",
                stop_details={"type": "refusal", "category": "bio", "explanation": "No."},
            ),
            gemini={
                "promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "No."},
                "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9},
                "modelVersion": MODEL,
                "responseId": ID,
            },
        ),
        hear(
            chat=o_heard(refusal="No.", content=None),
            responses=r_heard(
                {"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}
            ),
            messages=Heard(
                {
                    "content": [text("No.")],
                    "stop_reason": "refusal",
                    "stop_details": {"type": "refusal"},
                },
                note="as text, with the stop reason `refusal`",
            ),
            gemini=Heard(g_heard(g_text("No."), finish=ANYTHING), note="as text"),
            completions=Heard(
                t_heard("No.", "content_filter"), note="as text, ended by `content_filter`"
            ),
            complete=Heard(
                c_heard("No.", "refusal"), note="as text, with the stop reason `refusal`"
            ),
        ),
        pairs={
            (CHAT, GEMINI): Heard(o_heard("content_filter", refusal="No.", content=None)),
            (RESPONSES, GEMINI): Heard(
                r_heard(
                    {"type": "message", "content": [{"type": "refusal", "refusal": "No."}]},
                    reason="content_filter",
                )
            ),
        },
    ),
    Tell(
        "several choices in a reply",
        answers(
            chat=completion() | {"choices": [choice(0, content="a"), choice(1, content="b")]},
            responses=NO_WORD,
            messages=NO_WORD,
            gemini=of_candidates(g_candidate(0, g_text("a")), g_candidate(1, g_text("b"))),
        ),
        hear(
            chat={"choices": [{"message": {"content": "a"}}, {"message": {"content": "b"}}]},
            responses="replies have one choice",
            messages="replies have one choice",
            gemini={
                "candidates": [
                    {"index": 0, "content": {"parts": [g_text("a")]}},
                    {"index": 1, "content": {"parts": [g_text("b")]}},
                ]
            },
            completions={"choices": [{"index": 0, "text": "a"}, {"index": 1, "text": "b"}]},
            complete="replies have one choice",
        ),
    ),
    Tell(
        "logprobs in the reply",
        answers(
            chat=completion()
            | {"choices": [choice(0, content="a") | {"logprobs": {"content": [TOKEN]}}]},
            responses=response(r_message(r_output("a", logprobs=[TOKEN]))),
            messages=NO_WORD,
            gemini=generated(
                g_text("a"),
                logprobsResult={"chosenCandidates": [{"token": "a", "logProbability": -0.1}]},
            ),
        ),
        hear(
            chat={"choices": [{"message": {"content": "a"}, "logprobs": {"content": [SHOWN]}}]},
            responses=r_heard({"type": "message", "content": [{"text": "a", "logprobs": [SHOWN]}]}),
            messages=Heard({"content": [text("a")]}, is_told=False),
            gemini={
                "candidates": [
                    {
                        "logprobsResult": {
                            "chosenCandidates": [{"token": "a", "logProbability": -0.1}]
                        }
                    }
                ]
            },
            completions={
                "choices": [{"text": "a", "logprobs": {"tokens": ["a"], "token_logprobs": [-0.1]}}]
            },
            complete=Heard(c_heard("a"), is_told=False),
        ),
        asking={RESPONSES: {"include": ["message.output_text.logprobs"]}},
    ),
]

# -- thoughts --------------------------------------------------------------------------------------


def o_thinking(signature: str) -> Wire:
    detail = {"type": "reasoning.text", "text": "hmm", "index": 0, "signature": signature}
    return o_heard(reasoning_content="hmm", content="a", reasoning_details=[detail])


def o_hidden(data: str) -> Wire:
    detail = {"type": "reasoning.encrypted", "data": data, "index": 0}
    return o_heard(content="a", reasoning_details=[detail])


def r_thinking(encrypted: object, words: str = "hmm") -> Wire:
    summary = [{"type": "summary_text", "text": words}] if words else []
    thought = {"type": "reasoning", "summary": summary, "encrypted_content": encrypted}
    return r_heard(thought, r_spoken("a"))


def a_thinking(signature: str) -> Wire:
    thought = {"type": "thinking", "thinking": "hmm", "signature": signature}
    return {"content": [thought, text("a")]}


def g_thinking(mark: object, words: str = "hmm") -> Wire:
    return g_heard({"text": words, "thought": True, "thoughtSignature": mark}, g_text("a"))


def r_reasoned(words: str) -> Wire:
    """An upstream's reasoning item."""
    summary = [{"type": "summary_text", "text": words}] if words else []
    item = {"id": "rs_1", "type": "reasoning", "summary": summary}
    return {**item, "encrypted_content": "SECRET"}


IN_DETAILS = "`reasoning_content`, the signature in `reasoning_details`"
IN_ENVELOPE = "the signature in the gateway's envelope"
THOUGHTS = [
    Tell(
        "thinking with a signature",
        answers(
            chat=completion(reasoning_content="hmm", content="a"),
            responses=response(r_reasoned("hmm"), r_message(r_output("a"))),
            messages=message({**THOUGHT, "thinking": "hmm"}, text("a")),
            gemini=generated(
                {"text": "hmm", "thought": True, "thoughtSignature": "SIG"}, g_text("a")
            ),
        ),
        hear(
            completions=Heard(t_heard("a"), is_told=False),
            complete=Heard(c_heard("a"), is_told=False),
        ),
        pairs={
            (CHAT, RESPONSES): Heard(o_thinking(OF_OPENAI), note=IN_DETAILS),
            (CHAT, MESSAGES): Heard(o_thinking("SIG"), note=IN_DETAILS),
            (CHAT, GEMINI): Heard(o_thinking(OF_GEMINI), note=IN_DETAILS),
            (RESPONSES, CHAT): Heard(r_thinking(ABSENT), note="a summary without signature"),
            (RESPONSES, MESSAGES): Heard(r_thinking(OF_ANTHROPIC), note=IN_ENVELOPE),
            (RESPONSES, GEMINI): Heard(r_thinking(OF_GEMINI), note=IN_ENVELOPE),
            (MESSAGES, CHAT): Heard(
                a_thinking(""), note="a thinking block with an empty signature"
            ),
            (MESSAGES, RESPONSES): Heard(a_thinking(OF_OPENAI), note=IN_ENVELOPE),
            (MESSAGES, GEMINI): Heard(a_thinking(OF_GEMINI), note=IN_ENVELOPE),
            (GEMINI, CHAT): Heard(g_thinking(ABSENT), note="a thought without signature"),
            (GEMINI, RESPONSES): Heard(g_thinking(g_mark("s", OF_OPENAI)), note=IN_ENVELOPE),
            (GEMINI, MESSAGES): Heard(g_thinking(g_mark("s", "SIG")), note=IN_ENVELOPE),
        },
        asking={RESPONSES: ENCRYPTED},
    ),
    Tell(
        "thinking, where no signature was asked for",
        answers(
            chat=completion(reasoning_content="hmm", content="a"),
            responses=response(r_reasoned("hmm"), r_message(r_output("a"))),
            messages=message({**THOUGHT, "thinking": "hmm"}, text("a")),
            gemini=generated(
                {"text": "hmm", "thought": True, "thoughtSignature": "SIG"}, g_text("a")
            ),
        ),
        hear(
            chat="signatures are always told",
            responses=Heard(r_thinking(ABSENT), note="a summary"),
            messages="signatures are always told",
            gemini="signatures are always told",
            completions="thoughts stay hidden",
            complete="thoughts stay hidden",
        ),
        pairs={(RESPONSES, RESPONSES): Heard(r_thinking(ABSENT), note="a summary")},
    ),
    Tell(
        "redacted thinking",
        answers(
            chat=NO_WORD,
            responses=response(r_reasoned(""), r_message(r_output("a"))),
            messages=message(REDACTED, text("a")),
            gemini=NO_WORD,
        ),
        hear(
            completions=Heard(t_heard("a"), is_told=False),
            complete=Heard(c_heard("a"), is_told=False),
        ),
        pairs={
            (CHAT, RESPONSES): Heard(o_hidden(OF_OPENAI), note="in `reasoning_details`"),
            (CHAT, MESSAGES): Heard(o_hidden("DATA"), note="in `reasoning_details`"),
            (RESPONSES, MESSAGES): Heard(r_thinking(HIDDEN, ""), note=IN_ENVELOPE),
            (MESSAGES, RESPONSES): Heard(
                {"content": [{"type": "redacted_thinking", "data": OF_OPENAI}, text("a")]},
                note=IN_ENVELOPE,
            ),
            (GEMINI, RESPONSES): Heard(g_thinking(g_mark("r", OF_OPENAI), ""), note=IN_ENVELOPE),
            (GEMINI, MESSAGES): Heard(g_thinking(g_mark("r", "DATA"), ""), note=IN_ENVELOPE),
        },
        asking={RESPONSES: ENCRYPTED},
    ),
    Tell(
        "signature of a call",
        answers(
            chat="calls carry no signature",
            responses="calls carry no signature",
            messages="calls carry no signature",
            gemini=generated(g_called("c1", "f", {"a": "b"}, thoughtSignature="SIG")),
        ),
        hear(
            chat=Heard(o_heard("tool_calls", tool_calls=[o_call("c1")]), is_told=False),
            responses=Heard(
                r_heard(
                    {"type": "reasoning", "summary": [], "encrypted_content": OF_CALL},
                    {"type": "function_call", "call_id": "c1"},
                ),
                note="in a reasoning item before the call",
            ),
            messages=Heard({"content": [use("c1", "f", {"a": "b"})]}, is_told=False),
            completions=Failing(NO_TOOLS),
            complete=Failing(NO_TOOLS),
        ),
        asking={RESPONSES: ENCRYPTED},
    ),
]
