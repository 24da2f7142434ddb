"""The official Google SDK against live gateways: straight, passed through, and translated."""

import base64
from typing import Any

import pytest
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

from tests.conformance.conftest import Way
from tests.factories.gateways import Gateway

pytestmark = pytest.mark.conformance
HI = "Say hi to Zoë 你好"
ECHO = f"[sandbox] {HI}"
MODEL = "gpt-4o-mini"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Weather(BaseModel):
    city: str
    degrees: int
    wind: list[str]


def client_of(gateway: Gateway, key: str | None = None) -> genai.Client:
    options = types.HttpOptions(base_url=gateway.base)
    return genai.Client(api_key=key or gateway.key, http_options=options)


@pytest.fixture
def client(way: Way):
    return client_of(way.gateway)


def weather_tool() -> types.Tool:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    }
    declared = types.FunctionDeclaration(
        name="get_weather", description="Weather", parameters_json_schema=schema
    )
    return types.Tool(function_declarations=[declared])


def test_a_whole_reply_is_typed_and_metered(client, way):
    reply = client.models.generate_content(model=way.to(MODEL), contents=HI)

    assert reply.text == ECHO
    assert reply.candidates[0].finish_reason is types.FinishReason.STOP
    assert reply.model_version == way.to(MODEL)
    used = reply.usage_metadata
    assert used.prompt_token_count > 5
    assert used.total_token_count == used.prompt_token_count + used.candidates_token_count


def test_a_stream_tells_what_the_whole_reply_does(client, way):
    chunks = list(client.models.generate_content_stream(model=way.to(MODEL), contents=HI))

    assert "".join(chunk.text or "" for chunk in chunks) == ECHO
    assert len(chunks) > 2
    assert chunks[-1].candidates[0].finish_reason is types.FinishReason.STOP
    assert chunks[-1].usage_metadata.candidates_token_count > 5


def test_a_chat_keeps_its_history_whole_and_streamed(client, way):
    chat = client.chats.create(model=way.to(MODEL))

    list(chat.send_message_stream("one"))
    chat.send_message("two")

    assert [content.role for content in chat.get_history(curated=True)][-2:] == ["user", "model"]
    said = [p.text for c in chat.get_history(curated=True) for p in c.parts if p.text]
    assert said[0] == "one"
    assert said[-1] == "[sandbox] two"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_turn_with_a_tool_is_finished(client, way, stream: bool):  # noqa: FBT001 - a table's column
    config = types.GenerateContentConfig(tools=[weather_tool()])
    model, asked = way.to("sandbox/tool-call"), types.UserContent("Weather in Paris?")
    if stream:
        chunks = list(
            client.models.generate_content_stream(model=model, contents=[asked], config=config)
        )
        parts = [p for c in chunks for p in c.candidates[0].content.parts if p.function_call]
    else:
        reply = client.models.generate_content(model=model, contents=[asked], config=config)
        parts = [p for p in reply.candidates[0].content.parts if p.function_call]
    [call] = [part.function_call for part in parts]

    result = types.Part(
        function_response=types.FunctionResponse(
            id=call.id, name=call.name, response={"output": "sunny"}
        )
    )
    history = [asked, types.Content(role="model", parts=parts), types.UserContent([result])]
    done = client.models.generate_content(model=model, contents=history, config=config)

    assert call.name == "get_weather"
    assert isinstance(call.args["city"], str)
    assert done.text


def test_json_fits_the_schema_asked_for(client, way):
    config = types.GenerateContentConfig(
        response_mime_type="application/json", response_schema=Weather
    )

    reply = client.models.generate_content(model=way.to(MODEL), contents="Weather?", config=config)

    assert isinstance(reply.parsed, Weather)


def test_instructions_knobs_and_a_picture_are_taken(client, way):
    config = types.GenerateContentConfig(
        system_instruction="Be brief.",
        temperature=0.5,
        top_p=0.9,
        max_output_tokens=50,
        stop_sequences=["END"],
        safety_settings=[],
    )
    picture = types.Part.from_bytes(data=PIXEL, mime_type="image/png")

    reply = client.models.generate_content(
        model=way.to(MODEL), contents=["What is this?", picture], config=config
    )

    assert reply.text


def test_tokens_are_counted(client, way):
    found = client.models.count_tokens(model=way.to(MODEL), contents=HI)

    assert found.total_tokens > 5


def test_models_are_listed_and_found(back: Gateway):
    client = client_of(back)

    names = [model.name for model in client.models.list(config={"page_size": 7})]
    found = client.models.get(model="gemini-2.5-flash")

    assert len(names) == len(set(names)) > 7
    assert "models/gemini-2.5-flash" in names
    assert (found.name, found.input_token_limit) == ("models/gemini-2.5-flash", 1_048_576)
    assert "generateContent" in (found.supported_actions or [])


@pytest.fixture
def straight(back: Gateway):
    return client_of(back)


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [("sandbox/overloaded", "UNAVAILABLE", {503, 529}), ("nope", "NOT_FOUND", {404})],
)
def test_errors_are_the_sdks_own(straight, model: str, status: str, code: set[int]):
    with pytest.raises(errors.APIError) as refusal:
        straight.models.generate_content(model=model, contents=HI)

    assert refusal.value.status == status
    assert refusal.value.code in code


def test_a_bad_key_is_refused(back: Gateway):
    stranger = client_of(back, "sk-" + "x" * 48)

    with pytest.raises(errors.ClientError) as refusal:
        stranger.models.generate_content(model=MODEL, contents=HI)

    assert (refusal.value.code, refusal.value.status) == (401, "UNAUTHENTICATED")


def test_a_stream_that_breaks_raises(straight):
    said: list[Any] = []

    with pytest.raises(errors.APIError):
        said.extend(straight.models.generate_content_stream(model="sandbox/cut-off", contents=HI))

    assert said
