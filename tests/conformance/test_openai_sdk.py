"""The official OpenAI SDK against live gateways: straight, and translated on the way."""

import base64
import json
from datetime import timedelta
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel

from tests.conformance.conftest import Way
from tests.factories.gateways import Gateway

pytestmark = pytest.mark.conformance
HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say hi to Zoë 你好"}]
ECHO = "[sandbox] Say hi to Zoë 你好"
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PDF = base64.b64encode(b"%PDF-1.4\n1 0 obj<</Type/Page>>endobj\ntrailer<<>>\n%%EOF").decode()


class Weather(BaseModel):
    city: str
    degrees: int
    wind: list[str]


def tool(name: str, *arguments: str) -> ChatCompletionToolParam:
    properties = {argument: {"type": "string"} for argument in arguments}
    schema: dict[str, object] = {
        "type": "object",
        "properties": properties,
        "required": list(arguments),
    }
    return {"type": "function", "function": {"name": name, "parameters": schema}}


def client_of(gateway: Gateway, key: str | None = None, base: str = "/v1", **more: Any) -> OpenAI:
    return OpenAI(
        base_url=gateway.base + base,
        api_key=key or gateway.key,
        _strict_response_validation=True,
        **{"max_retries": 0, **more},
    )


@pytest.fixture
def client(way: Way):
    with client_of(way.gateway) as made:
        yield made


def test_a_whole_reply_is_typed_and_metered(client, way):
    raw = client.chat.completions.with_raw_response.create(model=way.to("gpt-4o-mini"), messages=HI)
    reply = raw.parse()

    [choice] = reply.choices
    assert (choice.message.content, choice.finish_reason) == (ECHO, "stop")
    assert reply.model == way.to("gpt-4o-mini")
    assert reply.usage.prompt_tokens > 5
    assert reply.usage.completion_tokens > 5
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert raw.headers["x-request-id"] == raw.headers["request-id"] == raw.request_id
    assert raw.headers["x-meterway-attempts"] == "1"


def test_a_stream_says_what_the_whole_says(client, way):
    model = way.to("gpt-4o-mini")
    whole = client.chat.completions.create(model=model, messages=HI)
    stream = client.chat.completions.create(
        model=model, messages=HI, stream=True, stream_options={"include_usage": True}
    )

    chunks = list(stream)

    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert len({c.id for c in chunks}) == 1
    assert {c.model for c in chunks} == {model}
    assert chunks[0].choices[0].delta.role == "assistant"
    assert (chunks[-1].choices, chunks[-1].usage.total_tokens) == ([], whole.usage.total_tokens)


def test_a_stream_without_the_wish_for_usage_has_none(client, way):
    chunks = list(
        client.chat.completions.create(model=way.to("gpt-4o-mini"), messages=HI, stream=True)
    )

    assert all(chunk.choices for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)


def test_the_stream_helper_collects_the_completion(client, way):
    with client.chat.completions.stream(model=way.to("gpt-4o-mini"), messages=HI) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()

    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert final.choices[0].message.content == ECHO


async def test_the_async_client_streams_too(way):
    async with AsyncOpenAI(base_url=f"{way.gateway.base}/v1", api_key=way.gateway.key) as client:
        stream = await client.chat.completions.create(
            model=way.to("gpt-4o-mini"), messages=HI, stream=True
        )
        text = "".join([c.choices[0].delta.content or "" async for c in stream])

    assert text == ECHO


@pytest.mark.parametrize("stream", [False, True])
def test_a_round_trip_of_parallel_tools(client, way, stream):
    tools = [tool("get_weather", "city"), tool("get_time", "zone")]
    asked = 'get_weather {"city": "Zürich"} and get_time {"zone": "CET"}'
    messages: list[Any] = [{"role": "user", "content": asked}]
    model = way.to("sandbox/tool-calls")

    if stream:
        with client.chat.completions.stream(model=model, messages=messages, tools=tools) as events:
            first = events.get_final_completion().choices[0]
    else:
        first = client.chat.completions.create(model=model, messages=messages, tools=tools).choices[
            0
        ]
    calls = first.message.tool_calls
    messages.append(
        {"role": "assistant", "tool_calls": [call.model_dump(include=_CALL) for call in calls]}
    )
    for call, said in zip(calls, ("22 degrees", "noon"), strict=True):
        messages.append({"role": "tool", "tool_call_id": call.id, "content": said})
    second = client.chat.completions.create(model=model, messages=messages, tools=tools)

    assert first.finish_reason == "tool_calls"
    assert [(c.function.name, json.loads(c.function.arguments)) for c in calls] == [
        ("get_weather", {"city": "Zürich"}),
        ("get_time", {"zone": "CET"}),
    ]
    assert len({call.id for call in calls}) == 2
    assert second.choices[0].message.content == "[sandbox] 22 degrees\nnoon"


_CALL: Any = {"id": True, "type": True, "function": {"name", "arguments"}}


def test_a_forced_tool_is_called(client, way):
    reply = client.chat.completions.create(
        model=way.to("gpt-4o-mini"),
        messages=HI,
        tools=[tool("first", "a"), tool("second", "b")],
        tool_choice={"type": "function", "function": {"name": "second"}},
        parallel_tool_calls=False,
    )

    assert [call.function.name for call in reply.choices[0].message.tool_calls] == ["second"]


@pytest.mark.parametrize("model", ["gpt-4o-mini", "claude-sonnet-4-5"])
def test_structured_output_is_parsed(client, way, model):
    parsed = client.chat.completions.parse(
        model=way.to(model), messages=HI, response_format=Weather
    )

    assert isinstance(parsed.choices[0].message.parsed, Weather)


def test_streamed_structured_output_is_parsed(client, way):
    with client.chat.completions.stream(
        model=way.to("gpt-4o-mini"), messages=HI, response_format=Weather
    ) as stream:
        final = stream.get_final_completion()

    assert isinstance(final.choices[0].message.parsed, Weather)


def test_pictures_and_documents_arrive(client, way):
    content: Any = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
        },
    ]

    if way.fetches:
        del content[2]

    reply = client.chat.completions.create(
        model=way.to("sandbox/echo"), messages=[{"role": "user", "content": content}]
    )

    told = f"[sandbox] look ({1 if way.fetches else 2} image, 1 document)"
    assert reply.choices[0].message.content == told


@pytest.mark.parametrize("stream", [False, True])
def test_reasoning_is_shown_and_counted(client, way, stream):
    asked: Any = {"model": way.to("sandbox/reasoning"), "messages": HI}
    if stream:
        chunks = list(
            client.chat.completions.create(
                **asked, stream=True, stream_options={"include_usage": True}
            )
        )
        deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
        thought = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
        text = "".join(delta.content or "" for delta in deltas)
    else:
        message = client.chat.completions.create(**asked).choices[0].message
        thought, text = message.reasoning_content, message.content

    assert "The sandbox repeats what was said" in thought
    assert text == ECHO


@pytest.mark.parametrize(
    ("model", "reason"), [("sandbox/max-tokens", "length"), ("sandbox/refusal", "stop")]
)
def test_ends_are_named(client, way, model, reason):
    choice = client.chat.completions.create(model=way.to(model), messages=HI).choices[0]

    refuses = model == "sandbox/refusal"
    if refuses and way.name == "content":  # that dialect has no refusals but filtered text
        assert (choice.finish_reason, choice.message.refusal) == ("content_filter", None)
        return
    assert choice.finish_reason == reason
    assert bool(choice.message.refusal) == refuses


def test_log_probabilities_come_where_the_dialect_has_them(back):
    reply: Any = client_of(back).chat.completions.create(
        model="gpt-4o-mini", messages=HI, logprobs=True, top_logprobs=2
    )

    assert len(reply.choices[0].logprobs.content[0].top_logprobs) == 2


# -- what goes wrong ---------------------------------------------------------------------------


def test_an_unknown_key_is_an_authentication_error(back):
    with pytest.raises(openai.AuthenticationError) as refused:
        client_of(back, key="sk-nobodys-0123456789").chat.completions.create(
            model="gpt-4o-mini", messages=HI
        )

    assert refused.value.code == "invalid_api_key"
    assert "nobodys" not in refused.value.message
    assert "***" in refused.value.message


def test_a_model_the_key_may_not_use_is_a_permission_error(back):
    client = client_of(back, key=back.new_key("--permissions", "gpt-4o-mini").token)

    with pytest.raises(openai.PermissionDeniedError) as refused:
        client.chat.completions.create(model="gpt-4o", messages=HI)

    assert refused.value.param == "model"
    assert client.chat.completions.create(model="gpt-4o-mini", messages=HI).choices


def test_an_unknown_model_is_not_found(client, way):
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="gpt-nothing", messages=HI)

    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize(
    "broken",
    [
        {"messages": []},
        {"messages": "hi"},
        {"messages": [{"role": "tool", "content": "x", "tool_call_id": "nobody"}]},
        {"messages": HI, "max_tokens": "many"},
    ],
)
def test_a_request_that_makes_no_sense_is_a_bad_request(client, way, broken):
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=way.to("gpt-4o-mini"), **broken)

    assert refused.value.type == "invalid_request_error"


def test_a_body_over_the_limit_is_too_large(back):
    with pytest.raises(openai.APIStatusError) as refused:
        client_of(back).chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "x" * 3_000_000}]
        )

    assert refused.value.status_code == 413


def test_a_rate_limit_says_when_to_come_back(client, way):
    with pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(model=way.to("sandbox/rate-limited"), messages=HI)

    assert refused.value.response.headers["retry-after"] == "1"
    assert refused.value.type == "rate_limit_error"


def test_the_sdk_waits_as_long_as_it_is_told(back):
    key = back.new_key()
    client = client_of(back, key=key.token, max_retries=1)

    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model="sandbox/rate-limited", messages=HI)

    first, second = back.calls(2, key)
    assert first["error"] == second["error"] == "upstream_rate_limited"
    assert second["at"] - first["at"] >= timedelta(seconds=1)


@pytest.mark.parametrize("stream", [False, True])
def test_an_overloaded_upstream_is_a_passing_server_error(client, way, stream):
    with pytest.raises(openai.InternalServerError) as refused:
        client.chat.completions.create(
            model=way.to("sandbox/overloaded"), messages=HI, stream=stream
        )

    assert refused.value.status_code == 503


def test_an_upstream_that_refuses_our_key_is_not_the_callers_fault(client, way):
    with pytest.raises(openai.InternalServerError) as refused:
        client.chat.completions.create(model=way.to("sandbox/unauthorized"), messages=HI)

    assert refused.value.status_code in {500, 502, 503}


@pytest.mark.parametrize("model", ["sandbox/error-mid-stream", "sandbox/cut-off"])
def test_a_stream_that_breaks_raises_after_what_came(client, way, model):
    seen: list[str] = []

    def read() -> None:
        stream = client.chat.completions.create(model=way.to(model), messages=HI, stream=True)
        seen.extend(c.choices[0].delta.content or "" for c in stream if c.choices)

    with pytest.raises(openai.APIError):
        read()

    assert ECHO.startswith("".join(seen))


@pytest.mark.parametrize("model", ["sandbox/bad-json", "sandbox/error-mid-stream"])
def test_an_upstream_that_talks_nonsense_is_a_server_error(client, way, model):
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model=way.to(model), messages=HI)


# -- how clients find us -----------------------------------------------------------------------


@pytest.mark.parametrize("base", ["/v1", "/v1/", "", "/v1/v1", "/openai/v1", "/openai"])
def test_base_urls_are_taken_as_people_write_them(back, base):
    client = client_of(back, base=base)

    assert client.models.retrieve("gpt-4o-mini").id == "gpt-4o-mini"
    assert client.chat.completions.create(model="gpt-4o-mini", messages=HI).choices


@pytest.mark.parametrize(
    "form", ["Authorization: {}", "x-api-key: {}", "api-key: {}", "x-goog-api-key: {}"]
)
def test_keys_are_taken_in_every_form(back, form):
    name, value = form.format(back.key).split(": ")
    headers: Any = {"Authorization": openai.Omit(), name: value}

    reply = client_of(back, key="unused").chat.completions.create(
        model="gpt-4o-mini", messages=HI, extra_headers=headers
    )

    assert reply.choices[0].message.content == ECHO


def test_models_are_listed_and_found(client, way):
    listed = {model.id for model in client.models.list()}

    assert way.to("gpt-4o-mini") in listed
    assert client.models.retrieve(way.to("gpt-4o-mini")).object == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-nothing")
