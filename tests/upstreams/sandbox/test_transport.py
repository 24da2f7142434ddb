"""The sandbox on its wire: each behaviour, in both dialects, whole and streamed."""

import asyncio
import json

import pytest

from meterway.catalog.service import Catalog
from meterway.protocols.dialects import Dialect
from meterway.upstreams import errors
from meterway.upstreams.sandbox.behaviour import BEHAVIOURS
from tests.fakes.clock import FakeClock
from tests.upstreams.sandbox.wire import (
    CHAT,
    MESSAGES,
    PATHS,
    Wire,
    asking,
    called,
    chat,
    ended,
    event_of,
    message,
    said,
    spoken,
    tool,
)

BOTH = pytest.mark.parametrize("dialect", ["openai", "anthropic"])
# They say on purpose what the official types refuse, or nothing; each has a test of its own.
REFUSED_BY_TYPES = {"hang", "bad-json", "error-mid-stream", "no-usage"}
WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["Paris", "Rome"]},
        "days": {"type": "integer", "minimum": 3},
        "note": {"type": "string"},
    },
    "required": ["city", "days"],
}


@BOTH
async def test_echo_repeats_the_last_user_text(dialect):
    reply = await Wire().whole(PATHS[dialect], asking(dialect, text="Hello there"))

    assert said(reply) == "[sandbox] Hello there"
    assert ended(reply) == {"openai": "stop", "anthropic": "end_turn"}[dialect]
    assert reply.model == "sandbox/echo"


@BOTH
async def test_a_stream_says_what_the_whole_reply_says(dialect):
    text = "  Zwei\n\n Wörter: " + "x" * 50 + " 🙂 "

    events = await Wire().stream(PATHS[dialect], asking(dialect, text=text))

    assert spoken(PATHS[dialect], events) == f"[sandbox] {text}"


@BOTH
@pytest.mark.parametrize("model", ["gpt-4o-mini", "claude-3-opus", "deepseek-chat"])
async def test_catalogue_models_are_answered_for(dialect, model):
    reply = await Wire().whole(PATHS[dialect], asking(dialect, model, "Hi"))

    assert said(reply) == "[sandbox] Hi"
    assert reply.model == model


async def test_usage_is_counted_by_the_real_counter():
    wire = Wire()

    openai = await wire.whole(CHAT, chat(text="one two"))
    anthropic = await wire.whole(MESSAGES, message(text="one two"))

    assert (openai.usage.prompt_tokens, openai.usage.completion_tokens) == (7, 3)
    assert openai.usage.total_tokens == 10
    assert (anthropic.usage.input_tokens, anthropic.usage.output_tokens) == (7, 3)
    assert wire.counter.bodies == [
        (Dialect.OPENAI_CHAT, "sandbox/echo", ["messages", "model"]),
        (Dialect.ANTHROPIC_MESSAGES, "sandbox/echo", ["max_tokens", "messages", "model"]),
    ]


async def test_openai_events_come_in_order():
    body = chat(text="Hi", stream_options={"include_usage": True})

    *events, done = await Wire().stream(CHAT, body)

    assert done is None
    assert events[0].choices[0].delta.role == "assistant"
    assert [e.choices[0].finish_reason for e in events[:-1]] == [None, None, None, "stop"]
    assert events[-1].choices == []
    assert events[-1].usage.completion_tokens == 2
    assert len({event.id for event in events}) == 1


async def test_openai_usage_comes_only_when_asked():
    events = await Wire().stream(CHAT, chat())

    assert all(event.usage is None for event in events if event)
    assert events[-1] is None
    assert events[-2].choices[0].finish_reason == "stop"


async def test_anthropic_events_come_in_order():
    events = await Wire().stream(MESSAGES, message(text="Hi"))

    assert [event.type for event in events] == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert events[0].message.usage.input_tokens == 7
    assert events[-2].usage.output_tokens == 2
    assert events[-2].delta.stop_reason == "end_turn"


@BOTH
async def test_a_tool_call_has_arguments_that_fit(dialect):
    body = asking(dialect, "sandbox/tool-call", tools=[tool(dialect, "get_weather", WEATHER)])

    reply = await Wire().whole(PATHS[dialect], body)

    assert called(reply) == [("get_weather", {"city": "Paris", "days": 3})]
    assert ended(reply) == {"openai": "tool_calls", "anthropic": "tool_use"}[dialect]
    assert not said(reply)


async def test_streamed_tool_calls_carry_their_arguments_in_fragments():
    wire, tools = Wire(), {"tools": [tool("openai", "get_weather", WEATHER)]}

    events = await wire.stream(CHAT, chat("sandbox/tool-calls", **tools))

    deltas = [call for e in events if e for call in e.choices[0].delta.tool_calls or []]
    for index in (0, 1):
        mine = [delta for delta in deltas if delta.index == index]
        assert mine[0].function.name == "get_weather"
        assert mine[0].id
        assert all(delta.id is None for delta in mine[1:])
        text = "".join(delta.function.arguments for delta in mine)
        assert json.loads(text) == {"city": "Paris", "days": 3}
        assert len(mine) > 3


async def test_streamed_tool_uses_carry_their_input_in_fragments():
    tools = {"tools": [tool("anthropic", "get_weather", WEATHER)]}

    events = await Wire().stream(MESSAGES, message("sandbox/tool-calls", **tools))

    starts = [event for event in events if event.type == "content_block_start"]
    assert [start.content_block.input for start in starts] == [{}, {}]
    for index in (0, 1):
        text = "".join(
            event.delta.partial_json
            for event in events
            if event.type == "content_block_delta" and event.index == index
        )
        assert json.loads(text) == {"city": "Paris", "days": 3}


@BOTH
async def test_parallel_calls_use_each_tool_unless_forbidden(dialect):
    tools = [tool(dialect, "first_one", {}), tool(dialect, "second_one", {})]
    single = (
        {"parallel_tool_calls": False}
        if dialect == "openai"
        else {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}
    )

    both = await Wire().whole(PATHS[dialect], asking(dialect, "sandbox/tool-calls", tools=tools))
    one = await Wire().whole(
        PATHS[dialect], asking(dialect, "sandbox/tool-calls", tools=tools, **single)
    )

    assert [name for name, _ in called(both)] == ["first_one", "second_one"]
    assert [name for name, _ in called(one)] == ["first_one"]


@BOTH
@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("Please ask get_weather about it", [("get_weather", {"city": "Paris", "days": 3})]),
        ('Use Bash {"command": "echo {hi}"} now', [("Bash", {"command": "echo {hi}"})]),
        ("use the Bash tool", [("Bash", {"command": "[sandbox]"})]),
        ("Run `Bash`", [("Bash", {"command": "[sandbox]"})]),
        ("Write a poem about get_weathers and Bash", []),
        ("bash", []),
    ],
)
async def test_plain_models_call_a_tool_the_text_names(dialect, text, calls):
    shell = {"type": "object", "properties": {"command": {"type": "string"}}}
    shell["required"] = ["command"]
    tools = [
        tool(dialect, "Write", {}),
        tool(dialect, "Bash", shell),
        tool(dialect, "get_weather", WEATHER),
    ]

    reply = await Wire().whole(PATHS[dialect], asking(dialect, "gpt-4o", text, tools=tools))

    assert called(reply) == calls


@BOTH
async def test_a_forced_tool_is_called_and_a_forbidden_one_is_not(dialect):
    tools = [tool(dialect, "alpha", {}), tool(dialect, "beta", {})]
    wire, path = Wire(), PATHS[dialect]
    forced, chosen, none = {
        "openai": ("required", {"type": "function", "function": {"name": "beta"}}, "none"),
        "anthropic": ({"type": "any"}, {"type": "tool", "name": "beta"}, {"type": "none"}),
    }[dialect]

    def body(choice):
        return asking(dialect, "gpt-4o", "use alpha", tools=tools, tool_choice=choice)

    assert called(await wire.whole(path, body(forced))) == [("alpha", {})]
    assert called(await wire.whole(path, body(chosen))) == [("beta", {})]
    assert called(await wire.whole(path, body(none))) == []


@pytest.mark.parametrize("model", ["sandbox/tool-call", "sandbox/tool-calls", "gpt-4o"])
async def test_tool_results_are_answered_with_their_content(model):
    wire = Wire()
    question = {"role": "user", "content": "use tool_a"}
    function = {"name": "tool_a", "arguments": "{}"}
    openai = chat(model, tools=[tool("openai", "tool_a", {})])
    openai["messages"] = [
        question,
        {
            "role": "assistant",
            "tool_calls": [{"id": "c", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "22 degrees"},
    ]
    anthropic = message(model, tools=[tool("anthropic", "tool_a", {})])
    anthropic["messages"] = [
        question,
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t", "name": "tool_a", "input": {}}],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t",
                    "content": [{"type": "text", "text": "22 degrees"}],
                },
                {"type": "text", "text": "<system-reminder>use tool_a</system-reminder>"},
            ],
        },
    ]

    assert said(await wire.whole(CHAT, openai)) == "[sandbox] 22 degrees"
    assert said(await wire.whole(MESSAGES, anthropic)) == "[sandbox] 22 degrees"


async def test_reminders_before_the_text_are_not_the_users():
    reminders = "<system-reminder>use tool_a</system-reminder>\n\n" * 2
    tools = [{"type": "function", "function": {"name": "tool_a"}}]

    joined = chat(text=f"{reminders}\nwho is there", tools=tools)
    alone = chat(text=reminders, tools=tools)

    assert said(await Wire().whole(CHAT, joined)) == "[sandbox] who is there"
    assert said(await Wire().whole(CHAT, alone)) == "[sandbox]"


async def test_pictures_after_a_result_belong_to_it():
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    said_of = {"type": "text", "text": "From the result of call_1:"}
    messages = [
        {"role": "user", "content": "look"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "a cat"},
        {"role": "user", "content": [said_of, picture]},
    ]
    tools = [{"type": "function", "function": {"name": "look"}}]

    about_it = await Wire().whole(CHAT, chat(messages=messages, tools=tools))
    messages[-1] = {"role": "user", "content": [{"type": "text", "text": "and now?"}, picture]}
    apart = await Wire().whole(CHAT, chat(messages=messages, tools=tools))

    assert said(about_it) == "[sandbox] a cat (1 image)"
    assert said(apart) == "[sandbox] and now? (1 image)"


async def test_custom_tools_take_free_text():
    body = chat("sandbox/tool-call", "x", tools=[{"type": "custom", "custom": {"name": "code"}}])

    reply = await Wire().whole(CHAT, body)
    response = await Wire().send(CHAT, {**body, "stream": True})
    events = [json.loads(chunk[6:]) async for chunk in response if chunk[6:7] == b"{"]

    assert reply.choices[0].message.tool_calls[0].custom.input == "[sandbox] x"
    deltas = [call for e in events for call in e["choices"][0]["delta"].get("tool_calls", [])]
    assert "".join(delta["custom"]["input"] for delta in deltas) == "[sandbox] x"


@pytest.mark.parametrize("model", ["sandbox/json", "gpt-4o"])
async def test_structured_output_fits_its_schema(model):
    form = {"type": "json_schema", "json_schema": {"name": "w", "schema": WEATHER}}
    config = {"format": {"type": "json_schema", "schema": WEATHER}}

    openai = await Wire().whole(CHAT, chat(model, response_format=form))
    anthropic = await Wire().whole(MESSAGES, message(model, output_config=config))

    assert json.loads(said(openai) or "") == {"city": "Paris", "days": 3}
    assert json.loads(said(anthropic) or "") == {"city": "Paris", "days": 3}


async def test_json_without_a_schema_is_some_object():
    body = chat("gpt-4o", "Hi", response_format={"type": "json_object"})

    assert json.loads(said(await Wire().whole(CHAT, body)) or "") == {"sandbox": "[sandbox] Hi"}


async def test_reasoning_comes_before_the_answer_and_is_signed():
    whole = await Wire().whole(MESSAGES, message("sandbox/reasoning"))
    events = await Wire().stream(MESSAGES, message("sandbox/reasoning"))

    thinking, text = whole.content
    assert thinking.thinking.startswith("The user")
    assert thinking.signature
    assert text.text == "[sandbox] Hello there"
    kinds = [e.delta.type for e in events if e.type == "content_block_delta"]
    assert kinds.index("signature_delta") < kinds.index("text_delta")
    assert kinds.count("signature_delta") == 1
    signed = [e for e in events if e.type == "content_block_delta" and e.index == 0][-1]
    assert signed.delta.signature == thinking.signature


async def test_openai_reasoning_stands_beside_the_content_and_is_counted():
    reply = await Wire().whole(CHAT, chat("sandbox/reasoning"))

    assert reply.choices[0].message.reasoning_content.startswith("The user")
    assert reply.usage.completion_tokens_details.reasoning_tokens == 11
    assert reply.usage.completion_tokens == 14


async def test_any_model_thinks_when_anthropics_request_asks_for_it():
    body = message("claude-opus-4-7", thinking={"type": "adaptive"})

    reply = await Wire().whole(MESSAGES, body)

    assert [block.type for block in reply.content] == ["thinking", "text"]


@BOTH
@pytest.mark.parametrize("stream", [False, True])
async def test_max_tokens_cuts_and_says_so(dialect, stream):
    body = asking(dialect, text="one two three four", max_tokens=3, stream=stream)
    path = PATHS[dialect]

    if stream:
        events = await Wire().stream(path, body)
        assert spoken(path, events).split() == ["[sandbox]", "one", "two"]
    else:
        reply = await Wire().whole(path, body)
        assert (said(reply) or "").split() == ["[sandbox]", "one", "two"]
        assert ended(reply) == {"openai": "length", "anthropic": "max_tokens"}[dialect]


async def test_thinking_uses_up_max_tokens_first():
    reply = await Wire().whole(MESSAGES, message("sandbox/reasoning", max_tokens=4))

    assert [block.type for block in reply.content] == ["thinking"]
    assert reply.usage.output_tokens == 4
    assert reply.stop_reason == "max_tokens"


async def test_the_newer_limit_counts_in_openais_dialect():
    reply = await Wire().whole(CHAT, chat(text="a b c", max_completion_tokens=2))

    assert reply.usage.completion_tokens == 2
    assert ended(reply) == "length"


async def test_stop_sequences_cut_before_the_first_that_occurs():
    openai = await Wire().whole(CHAT, chat(text="a STOP b END", stop=["END", "STOP"]))
    anthropic = await Wire().whole(
        MESSAGES, message(text="a STOP b END", stop_sequences=["END", "STOP"])
    )

    assert said(openai) == said(anthropic) == "[sandbox] a "
    assert ended(openai) == "stop"
    assert (ended(anthropic), anthropic.stop_sequence) == ("stop_sequence", "STOP")


async def test_copies_and_log_probabilities_are_well_formed():
    body = chat(text="Hi", n=2, logprobs=True, top_logprobs=2)

    reply = await Wire().whole(CHAT, body)
    events = await Wire().stream(CHAT, body)

    assert [choice.index for choice in reply.choices] == [0, 1]
    tokens = reply.choices[1].logprobs.content
    assert "".join(token.token for token in tokens) == "[sandbox] Hi"
    assert [len(token.top_logprobs) for token in tokens] == [2, 2]
    assert reply.usage.completion_tokens == 4
    indexes = [choice.index for e in events if e for choice in e.choices]
    assert indexes == [0, 1] * 4


@pytest.mark.parametrize("words", [5, 2000])
async def test_long_answers_are_as_long_as_asked(words):
    reply = await Wire().whole(CHAT, chat("sandbox/long", f"about {words} words"))

    assert reply.usage.completion_tokens == words + 1


@BOTH
async def test_slow_streams_are_paced_by_the_clock(dialect):
    clock = FakeClock()

    events = await Wire(clock).stream(PATHS[dialect], asking(dialect, "sandbox/slow"))

    assert clock.slept == [0.2] * len(events)


@pytest.mark.parametrize(
    ("model", "openai", "anthropic", "kind"),
    [
        ("sandbox/overloaded", 503, 529, "overloaded_error"),
        ("sandbox/rate-limited", 429, 429, "rate_limit_error"),
        ("sandbox/unauthorized", 401, 401, "authentication_error"),
        ("sandbox/nope", 404, 404, "not_found_error"),
    ],
)
async def test_failing_models_answer_in_each_dialects_error_shape(model, openai, anthropic, kind):
    status, body = await Wire().whole(CHAT, chat(model))
    assert status == openai
    assert {"message", "type", "param", "code"} == set(body["error"])

    status, body = await Wire().whole(MESSAGES, message(model))
    assert status == anthropic
    assert body["type"] == "error"
    assert body["error"]["type"] == kind


@BOTH
async def test_the_rate_limit_says_when_to_come_back(dialect):
    response = await Wire().send(PATHS[dialect], asking(dialect, "sandbox/rate-limited"))

    assert dict(response.headers)[b"retry-after"] == b"1"


@BOTH
@pytest.mark.parametrize("stream", [False, True])
async def test_cut_off_ends_without_an_end(dialect, stream):
    body = asking(dialect, "sandbox/cut-off", stream=stream)
    response = await Wire().send(PATHS[dialect], body)
    chunks = []

    async def drain():
        async for chunk in response:
            chunks.append(chunk)  # noqa: PERF401 - what came before the cut counts

    with pytest.raises(errors.CutConnectionError):
        await drain()

    came = b"".join(chunks)
    assert came
    assert b"[DONE]" not in came
    assert b"message_stop" not in came
    if not stream:
        with pytest.raises(ValueError, match=r".+"):
            json.loads(came)


@BOTH
async def test_an_error_mid_stream_follows_some_text(dialect):
    response = await Wire().send(
        PATHS[dialect], asking(dialect, "sandbox/error-mid-stream", stream=True)
    )

    *events, last = [chunk async for chunk in response]

    assert events
    error = json.loads(last.partition(b"data: ")[2])["error"]
    assert error["message"].startswith("[sandbox]")
    assert last.startswith(b"event: error\n") == (dialect == "anthropic")


@BOTH
async def test_no_usage_is_reported_where_the_model_says_so(dialect):
    body = asking(dialect, "sandbox/no-usage", stream_options={"include_usage": True})
    wire = Wire()

    whole = json.loads(await (await wire.send(PATHS[dialect], body)).read(10_000))
    streamed = await wire.send(PATHS[dialect], {**body, "stream": True})
    text = b"".join([chunk async for chunk in streamed])

    assert "usage" not in whole
    assert b"_tokens" not in text


async def test_refusals_are_said_in_each_dialects_way():
    openai = await Wire().whole(CHAT, chat("sandbox/refusal"))
    anthropic = await Wire().whole(MESSAGES, message("sandbox/refusal"))
    events = await Wire().stream(CHAT, chat("sandbox/refusal"))

    assert openai.choices[0].message.content is None
    assert openai.choices[0].message.refusal.startswith("[sandbox]")
    assert anthropic.stop_reason == "refusal"
    assert anthropic.content == []
    assert anthropic.stop_details.explanation.startswith("[sandbox]")
    assert "".join(
        choice.delta.refusal or "" for e in events if e for choice in e.choices
    ).startswith("[sandbox]")


async def test_a_chat_limit_of_zero_limits_nothing():
    reply = await Wire().whole(CHAT, chat(text="a b c", max_completion_tokens=0, max_tokens=0))

    assert reply.choices[0].message.content == "[sandbox] a b c"
    assert reply.choices[0].finish_reason == "stop"


@BOTH
async def test_the_max_tokens_model_always_ends_for_length(dialect):
    reply = await Wire().whole(PATHS[dialect], asking(dialect, "sandbox/max-tokens"))

    assert ended(reply) == {"openai": "length", "anthropic": "max_tokens"}[dialect]


@BOTH
@pytest.mark.parametrize("stream", [False, True])
async def test_bad_json_is_a_success_nobody_can_read(dialect, stream):
    body = asking(dialect, "sandbox/bad-json", stream=stream)

    response = await Wire().send(PATHS[dialect], body)

    text = await response.read(10_000)
    assert response.status == 200
    with pytest.raises(ValueError, match=r".+"):
        json.loads(text.removeprefix(b"data: "))


@BOTH
async def test_hang_never_answers_within_the_time_allowed(dialect):
    clock = FakeClock(patient=True)
    sending = asyncio.ensure_future(
        Wire(clock).send(PATHS[dialect], asking(dialect, "sandbox/hang"))
    )

    await asyncio.sleep(0)
    clock.advance(29.9)
    await asyncio.sleep(0)
    assert not sending.done()
    clock.advance(0.2)

    with pytest.raises(errors.FirstByteTimeoutError):
        await sending


async def test_a_closed_response_says_no_more():
    response = await Wire().send(CHAT, chat("sandbox/long", stream=True))
    came = 0

    async for _ in response:
        came += 1
        if came == 3:
            await response.close()

    assert came == 3
    await response.close()


async def test_a_reply_over_the_limit_is_refused():
    response = await Wire().send(CHAT, chat())

    with pytest.raises(errors.ReplyTooLargeError):
        await response.read(10)


async def test_tokens_are_counted_over_the_wire():
    response = await Wire().send(
        "/v1/messages/count_tokens", {"model": "claude-3-opus", "messages": []}
    )

    assert json.loads(await response.read(100)) == {"input_tokens": 7}


async def test_models_are_every_behaviour():
    response = await Wire().send("/v1/models", b"", method="GET")

    listed = json.loads(await response.read(10_000))
    assert {row["id"] for row in listed["data"]} == {f"sandbox/{name}" for name in BEHAVIOURS}


async def test_an_unknown_path_is_not_found():
    assert (await Wire().send("/v1/nope", {})).status == 404
    assert (await Wire().send("/v1/chat/completions", b"", method="GET")).status == 404


@BOTH
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        {"messages": [{"role": "user", "content": "x"}]},
        {"model": "m", "messages": []},
        {"model": "m", "messages": "x"},
        {"model": "m", "messages": [1]},
        {"model": "m", "max_tokens": -1, "messages": [{"role": "user", "content": "x"}]},
        {"model": "m", "max_tokens": "5", "messages": [{"role": "user", "content": "x"}]},
    ],
    ids=lambda body: str(body)[:40],
)
async def test_a_malformed_request_is_refused_as_vendors_do(dialect, body):
    response = await Wire().send(PATHS[dialect], body)

    assert response.status == 400
    assert b"error" in await response.read(10_000)


async def test_anthropic_needs_max_tokens():
    status, body = await Wire().whole(MESSAGES, chat())

    assert status == 400
    assert "max_tokens" in body["error"]["message"]


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "tool", "tool_call_id": "x", "content": "lost"}],
        [
            {"role": "assistant", "tool_calls": [{"id": "a"}]},
            {"role": "tool", "tool_call_id": "b", "content": "other"},
        ],
        [
            {"role": "assistant", "tool_calls": [{"id": "a"}, {"id": "b"}]},
            {"role": "tool", "tool_call_id": "a", "content": "one of two"},
            {"role": "user", "content": "go on"},
        ],
        [{"role": "assistant", "tool_calls": [{"id": "a"}]}],
    ],
)
async def test_openai_tool_messages_must_match_their_calls(messages):
    status, _ = await Wire().whole(CHAT, {"model": "gpt-4o", "messages": messages})

    assert status == 400


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x"}]}],
        [
            {"role": "assistant", "content": [{"type": "tool_use", "id": "a"}]},
            {"role": "user", "content": "go on"},
        ],
        [{"role": "assistant", "content": [{"type": "tool_use", "id": "a"}]}],
    ],
)
async def test_anthropic_tool_results_must_match_their_uses(messages):
    body = {"model": "claude-3-opus", "max_tokens": 5, "messages": messages}

    status, _ = await Wire().whole(MESSAGES, body)

    assert status == 400


async def test_a_schema_that_is_none_is_refused():
    bad = {"type": "json_schema", "json_schema": {"schema": {"type": "integer", "minimum": "x"}}}

    status, body = await Wire().whole(CHAT, chat("gpt-4o", response_format=bad))

    assert status == 400
    assert "schema" in body["error"]["message"]


async def test_attachments_are_named_in_the_echo():
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    block = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    openai = [{"type": "text", "text": "See"}, picture, picture]
    anthropic = [block, {"type": "document", "source": {}}, {"type": "text", "text": "See"}]

    assert said(await Wire().whole(CHAT, chat(text=openai))) == "[sandbox] See (2 image)"
    assert (
        said(await Wire().whole(MESSAGES, message(text=anthropic)))
        == "[sandbox] See (1 image, 1 document)"
    )


@BOTH
@pytest.mark.parametrize("behaviour", sorted(BEHAVIOURS.keys() - REFUSED_BY_TYPES))
async def test_every_behaviour_that_answers_streams_valid_events(dialect, behaviour):
    body = asking(dialect, f"sandbox/{behaviour}", tools=[tool(dialect, "tool_a", WEATHER)])
    response = await Wire().send(PATHS[dialect], {**body, "stream": True})
    if response.status != 200:
        return

    try:
        events = [event_of(PATHS[dialect], chunk) async for chunk in response]
    except errors.CutConnectionError:
        assert behaviour == "cut-off"
    else:
        assert events[-1] is None or events[-1].type == "message_stop"


def test_the_catalogue_offers_every_behaviour():
    offered = {model.id for model in Catalog().models() if model.vendor == "sandbox"}

    assert offered == {f"sandbox/{name}" for name in BEHAVIOURS}
