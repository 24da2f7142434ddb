"""The official Anthropic SDK against live gateways: straight, and translated on the way."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic, beta_tool
from anthropic.types import MessageParam, ToolParam
from pydantic import BaseModel

from tests.conformance.conftest import Way
from tests.conformance.test_openai_sdk import PDF, PIXEL
from tests.factories.gateways import Gateway

pytestmark = pytest.mark.conformance
HI: list[MessageParam] = [{"role": "user", "content": "Say hi to Zoë 你好"}]
ECHO = "[sandbox] Say hi to Zoë 你好"
MODEL = "claude-opus-5-5"
LIMIT = 4096


class Weather(BaseModel):
    city: str
    degrees: int
    wind: list[str]


def tool(name: str, *arguments: str) -> ToolParam:
    properties = {argument: {"type": "string"} for argument in arguments}
    schema: dict[str, object] = {
        "type": "object",
        "properties": properties,
        "required": list(arguments),
    }
    return {"name": name, "description": f"To {name}.", "input_schema": schema}


def client_of(gateway: Gateway, key: str | None = None, base: str = "", **more: Any) -> Anthropic:
    return Anthropic(
        base_url=gateway.base + base,
        api_key=key or gateway.key,
        _strict_response_validation=True,
        **{"max_retries": 0, **more},
    )


@pytest.fixture
def client(way: Way):
    with client_of(way.gateway) as made:
        yield made


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_a_whole_reply_is_typed_and_metered(client, way):
    raw = client.messages.with_raw_response.create(
        model=way.to(MODEL), max_tokens=LIMIT, messages=HI, system="Be kind."
    )
    reply = raw.parse()

    assert (text_of(reply), reply.stop_reason) == (ECHO, "end_turn")
    assert reply.model == way.to(MODEL)
    assert reply.usage.input_tokens > 5
    assert reply.usage.output_tokens > 5
    assert raw.headers["request-id"] == raw.headers["x-request-id"] == raw.request_id
    assert raw.headers["x-meterway-attempts"] == "1"


def test_a_stream_says_what_the_whole_says(client, way):
    asked: Any = {"model": way.to(MODEL), "max_tokens": LIMIT, "messages": HI}
    whole = client.messages.create(**asked)

    events = list(client.messages.create(**asked, stream=True))

    kinds = [event.type for event in events]
    text = "".join(e.delta.text for e in events if e.type == "content_block_delta")
    assert text == text_of(whole)
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
    assert (kinds.count("content_block_start"), kinds.count("content_block_stop")) == (1, 1)
    assert events[0].message.model == way.to(MODEL)
    assert events[-2].delta.stop_reason == "end_turn"
    assert events[-2].usage.output_tokens == whole.usage.output_tokens


def test_the_stream_helper_collects_the_message(client, way):
    with client.messages.stream(model=way.to(MODEL), max_tokens=LIMIT, messages=HI) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()

    assert text == text_of(final) == ECHO
    assert final.usage.input_tokens > 5
    assert final.usage.output_tokens > 5


async def test_the_async_client_streams_too(way):
    async with (
        AsyncAnthropic(base_url=way.gateway.base, api_key=way.gateway.key) as client,
        client.messages.stream(model=way.to(MODEL), max_tokens=LIMIT, messages=HI) as stream,
    ):
        assert await stream.get_final_text() == ECHO


@pytest.mark.parametrize("stream", [False, True])
def test_a_round_trip_of_parallel_tools(client, way, stream):
    tools = [tool("get_weather", "city"), tool("get_time", "zone")]
    asked = 'get_weather {"city": "Zürich"} and get_time {"zone": "CET"}'
    messages: list[Any] = [{"role": "user", "content": asked}]
    call: Any = {"model": way.to("sandbox/tool-calls"), "max_tokens": LIMIT, "tools": tools}

    if stream:
        with client.messages.stream(messages=messages, **call) as events:
            first = events.get_final_message()
    else:
        first = client.messages.create(messages=messages, **call)
    uses = [block for block in first.content if block.type == "tool_use"]
    picture = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    answers: list[Any] = [
        [{"type": "text", "text": "22 degrees"}, {"type": "image", "source": picture}],
        "noon",
    ]
    results = [
        {"type": "tool_result", "tool_use_id": use.id, "content": answer}
        for use, answer in zip(uses, answers, strict=True)
    ]
    messages += [
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": results},
    ]
    second = client.messages.create(messages=messages, **call)

    assert first.stop_reason == "tool_use"
    assert [(use.name, use.input) for use in uses] == [
        ("get_weather", {"city": "Zürich"}),
        ("get_time", {"zone": "CET"}),
    ]
    assert text_of(second).startswith("[sandbox] 22 degrees")
    assert text_of(second).endswith("noon (1 image)")


def test_the_tool_runner_runs_a_tool(client, way):
    @beta_tool
    def get_weather(city: str) -> str:
        """Tell the weather of a city."""
        return f"22 degrees in {city}"

    runner = client.beta.messages.tool_runner(
        model=way.to(MODEL),
        max_tokens=LIMIT,
        tools=[get_weather],
        messages=[{"role": "user", "content": 'get_weather {"city": "Oslo"}'}],
    )

    assert text_of(runner.until_done()) == "[sandbox] 22 degrees in Oslo"


def test_a_thread_that_is_lost_after_every_turn_goes_on(client, way):
    thread = client.beta.messages.thread(model=way.to("sandbox/echo"), max_tokens=LIMIT)

    said = [text_of(thread.send({"role": "user", "content": f"turn {n}"})) for n in range(3)]

    assert said == [f"[sandbox] turn {n}" for n in range(3)]


def test_a_forced_tool_is_called(client, way):
    reply = client.messages.create(
        model=way.to(MODEL),
        max_tokens=LIMIT,
        messages=HI,
        tools=[tool("first", "a"), tool("second", "b")],
        tool_choice={"type": "tool", "name": "second", "disable_parallel_tool_use": True},
    )

    assert [block.name for block in reply.content if block.type == "tool_use"] == ["second"]


@pytest.mark.parametrize("model", ["gpt-4o-mini", MODEL])
def test_structured_output_is_parsed(client, way, model):
    parsed = client.messages.parse(
        model=way.to(model), max_tokens=LIMIT, messages=HI, output_format=Weather
    )

    assert isinstance(parsed.parsed_output, Weather)


def test_streamed_structured_output_is_parsed(client, way):
    with client.messages.stream(
        model=way.to(MODEL), max_tokens=LIMIT, messages=HI, output_format=Weather
    ) as stream:
        final = stream.get_final_message()

    assert isinstance(final.parsed_output, Weather)


def test_pictures_and_documents_arrive(client, way):
    content: Any = [
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": PIXEL},
        },
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
        },
        {"type": "text", "text": "look"},
    ]

    if way.fetches:
        del content[1]

    reply = client.messages.create(
        model=way.to("sandbox/echo"),
        max_tokens=LIMIT,
        messages=[{"role": "user", "content": content}],
    )

    assert text_of(reply) == f"[sandbox] look ({1 if way.fetches else 2} image, 1 document)"


@pytest.mark.parametrize("stream", [False, True])
def test_thinking_is_shown_and_may_be_sent_back(client, way, stream):
    asked: Any = {
        "model": way.to("sandbox/reasoning"),
        "max_tokens": LIMIT,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }

    if stream:
        with client.messages.stream(messages=HI, **asked) as events:
            first = events.get_final_message()
    else:
        first = client.messages.create(messages=HI, **asked)
    again: list[Any] = [
        *HI,
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": "And more"},
    ]
    second = client.messages.create(messages=again, **asked)

    assert [block.type for block in first.content] == ["thinking", "text"]
    assert "The sandbox repeats what was said" in first.content[0].thinking
    assert text_of(first) == ECHO
    assert text_of(second) == "[sandbox] And more"


@pytest.mark.parametrize(
    ("model", "reason"), [("sandbox/max-tokens", "max_tokens"), ("sandbox/refusal", "refusal")]
)
def test_ends_are_named(client, way, model, reason):
    reply = client.messages.create(model=way.to(model), max_tokens=LIMIT, messages=HI)

    assert reply.stop_reason == reason


def test_a_stop_sequence_ends_the_reply(client, way):
    reply = client.messages.create(
        model=way.to(MODEL), max_tokens=LIMIT, messages=HI, stop_sequences=["to Zoë"]
    )

    assert text_of(reply) == "[sandbox] Say hi "
    if way.name not in {"chat", "content"}:  # these do not tell a stop sequence from the end
        assert (reply.stop_reason, reply.stop_sequence) == ("stop_sequence", "to Zoë")


# -- counting ----------------------------------------------------------------------------------


def test_a_count_is_what_the_call_reports(client, way):
    asked: Any = {"model": way.to(MODEL), "messages": HI, "system": "Be kind."}

    counted = client.messages.count_tokens(**asked, tools=[tool("look", "at")])
    bare = client.messages.count_tokens(**asked)
    reply = client.messages.create(**asked, max_tokens=LIMIT)

    assert counted.input_tokens > bare.input_tokens
    if way.name != "chat":  # there the upstream counts another dialect's body
        assert bare.input_tokens == reply.usage.input_tokens


def test_a_count_is_the_documented_one(back):
    counted = client_of(back).messages.count_tokens(
        model="claude-3-opus", messages=[{"role": "user", "content": "Say test"}]
    )

    assert counted.input_tokens == 9


async def test_a_burst_of_counts_is_answered_and_leaves_no_trace(way):
    key = way.gateway.new_key()
    tools = [tool(f"tool_{number}", "a", "b") for number in range(30)]
    async with AsyncAnthropic(base_url=way.gateway.base, api_key=key.token) as client:

        async def count(number: int) -> int:
            some: Any = {"tools": tools[:number]} if number % 3 else {}
            text = "word " * 600 * number
            counted = await client.beta.messages.count_tokens(
                model=way.to(MODEL), messages=[{"role": "user", "content": text + "."}], **some
            )
            return counted.input_tokens

        counts = await asyncio.gather(*(count(number) for number in range(18)))
        again = [await count(number) for number in range(18)]
        await client.messages.create(model=way.to(MODEL), max_tokens=LIMIT, messages=HI)

    assert counts == again
    assert len(set(counts)) == 18
    assert len(way.gateway.calls(1, key)) == 1


# -- what goes wrong ---------------------------------------------------------------------------


def ask(client: Anthropic, model: str = MODEL, **more: Any) -> Any:
    return client.messages.create(**{"model": model, "max_tokens": LIMIT, "messages": HI, **more})


def test_an_unknown_key_is_an_authentication_error(back):
    with pytest.raises(anthropic.AuthenticationError) as refused:
        ask(client_of(back, key="sk-nobodys-0123456789"))

    assert "nobodys" not in refused.value.message
    assert "***" in refused.value.message


def test_a_model_the_key_may_not_use_is_a_permission_error(back):
    client = client_of(back, key=back.new_key("--permissions", "gpt-4o").token)

    with pytest.raises(anthropic.PermissionDeniedError):
        ask(client)
    with pytest.raises(anthropic.PermissionDeniedError):
        client.messages.count_tokens(model=MODEL, messages=HI)


def test_an_unknown_model_is_not_found(client, way):
    with pytest.raises(anthropic.NotFoundError) as refused:
        ask(client, "claude-nothing")

    assert refused.value.type == "not_found_error"


@pytest.mark.parametrize(
    "broken",
    [
        {"messages": []},
        {"messages": "hi"},
        {"max_tokens": -1},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": "x", "content": "y"}],
                }
            ]
        },
    ],
)
def test_a_request_that_makes_no_sense_is_a_bad_request(client, way, broken):
    with pytest.raises(anthropic.BadRequestError) as refused:
        ask(client, way.to(MODEL), **broken)

    assert refused.value.type == "invalid_request_error"


def test_the_newer_version_refuses_a_temperature(back):
    newer = client_of(back, default_headers={"anthropic-version": "2026-10-21"})
    older = client_of(back, default_headers={"anthropic-version": "2023-06-01"})
    warm: Any = {"extra_body": {"temperature": 0.5}}

    with pytest.raises(anthropic.BadRequestError):
        ask(newer, **warm)
    assert text_of(ask(older, **warm)) == ECHO


def test_a_body_over_the_limit_is_too_large(back):
    with pytest.raises(anthropic.APIStatusError) as refused:
        ask(client_of(back), messages=[{"role": "user", "content": "x" * 3_000_000}])

    assert (refused.value.status_code, refused.value.type) == (413, "request_too_large")


def test_a_rate_limit_says_when_to_come_back(client, way):
    with pytest.raises(anthropic.RateLimitError) as refused:
        ask(client, way.to("sandbox/rate-limited"))

    assert refused.value.response.headers["retry-after"] == "1"


def test_the_sdk_waits_as_long_as_it_is_told(back):
    key = back.new_key()

    with pytest.raises(anthropic.RateLimitError):
        ask(client_of(back, key=key.token, max_retries=1), "sandbox/rate-limited")

    first, second = back.calls(2, key)
    assert second["at"] - first["at"] >= timedelta(seconds=1)


@pytest.mark.parametrize("stream", [False, True])
def test_an_overloaded_upstream_is_overloaded(client, way, stream):
    with pytest.raises(anthropic.InternalServerError) as refused:
        ask(client, way.to("sandbox/overloaded"), stream=stream)

    assert refused.value.status_code == (503 if way.name in {"chat", "content"} else 529)


@pytest.mark.parametrize("model", ["sandbox/error-mid-stream", "sandbox/cut-off"])
def test_a_stream_that_breaks_raises_after_what_came(client, way, model):
    seen: list[str] = []

    def read() -> None:
        events = ask(client, way.to(model), stream=True)
        seen.extend(e.delta.text for e in events if e.type == "content_block_delta")

    with pytest.raises(anthropic.APIError):
        read()

    assert ECHO.startswith("".join(seen))


@pytest.mark.parametrize("model", ["sandbox/bad-json", "sandbox/error-mid-stream"])
def test_an_upstream_that_talks_nonsense_is_a_server_error(client, way, model):
    with pytest.raises(anthropic.InternalServerError):
        ask(client, way.to(model))


# -- how clients find us -----------------------------------------------------------------------


@pytest.mark.parametrize("base", ["", "/", "/v1", "/anthropic", "/anthropic/v1"])
def test_base_urls_are_taken_as_people_write_them(back, base):
    client = client_of(back, base=base)

    assert text_of(ask(client)) == ECHO
    assert client.models.retrieve(MODEL).id == MODEL
    assert client.messages.count_tokens(model=MODEL, messages=HI).input_tokens > 0


@pytest.mark.parametrize(
    "header", ["Authorization: Bearer {}", "Authorization: {}", "x-api-key: {}", "api-key: {}"]
)
def test_keys_are_taken_in_every_form(back, header):
    name, value = header.format(back.key).split(": ")
    omitted: Any = {"Authorization": anthropic.Omit(), "X-Api-Key": anthropic.Omit()}
    kept = {n: v for n, v in omitted.items() if n.lower() != name.lower()}

    reply = ask(client_of(back, key="unused"), extra_headers={**kept, name: value})

    assert text_of(reply) == ECHO


def test_an_auth_token_is_taken(back):
    client = Anthropic(base_url=back.base, auth_token=back.key, max_retries=0)

    assert text_of(ask(client)) == ECHO


@pytest.mark.parametrize("limit", [7, 1000])
def test_models_are_paged_through_once(client, way, limit):
    listed = [model.id for model in client.models.list(limit=limit)]

    assert way.to(MODEL) in listed
    assert len(listed) == len(set(listed))
    assert listed == [model.id for model in client.models.list(limit=1000)]
    assert client.models.retrieve(way.to(MODEL)).id == way.to(MODEL)
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("claude-nothing")


def test_what_tools_were_asked_with_reaches_the_next_dialect_whole(client, way):
    given = {"path": 'a "b" \\ ü', "note": ""}
    reply = client.messages.create(
        model=way.to(MODEL),
        max_tokens=LIMIT,
        tools=[tool("Write", "path", "note")],
        messages=[{"role": "user", "content": f"use Write {json.dumps(given)}"}],
    )

    assert [block.input for block in reply.content if block.type == "tool_use"] == [given]
