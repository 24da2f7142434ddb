"""Requests for upstreams: the neutral form to Google's wire."""

from typing import Any

import msgspec
import pytest

from meterway.kit.errors import InvalidRequestError
from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.gemini import GEMINI
from meterway.protocols.dialects import Family
from meterway.protocols.errors import UnsupportedContentError
from tests.protocols.chat.gemini.signed import by_google

USER, MODEL, SYSTEM = neutral.Role.USER, neutral.Role.ASSISTANT, neutral.Role.SYSTEM
G25, G3 = "gemini-2.5-flash", "gemini-3-pro-preview"
PNG = sources.DataSource("image/png", "AAAA")
F = neutral.FunctionTool(name="f", description="d", parameters=msgspec.Raw(b'{"a":1.50}'), path="t")


def text(words: str) -> neutral.Text:
    return neutral.Text(text=words)


def turn(role: neutral.Role, *parts: Any) -> neutral.Message:
    return neutral.Message(role=role, parts=parts)


def encode(*messages: neutral.Message, model: str = G25, **fields: Any) -> tuple[Any, Any]:
    request = neutral.Request(
        model="asked", messages=messages or (turn(USER, text("Hi")),), **fields
    )
    encoded = GEMINI.encode_request(request, model)
    return msgspec.json.decode(encoded.body), encoded.dropped


def contents(*messages: neutral.Message, model: str = G25) -> Any:
    return encode(*messages, model=model)[0]["contents"]


def call(id_: str = "a", **more: Any) -> neutral.ToolCall:
    return neutral.ToolCall(id=id_, name="f", arguments='{"x": 1}', **more)


def result(id_: str = "a", *content: Any, **more: Any) -> neutral.ToolResult:
    return neutral.ToolResult(call_id=id_, content=content or (text("1"),), path="r", **more)


def test_neither_model_nor_stream_stands_in_the_body():
    body, dropped = encode(stream=True)

    assert body == {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    assert dropped == ()


def test_turns_of_one_role_are_merged_and_results_come_first():
    found = contents(
        turn(MODEL, call()), turn(USER, text("So?")), turn(USER, result()), turn(SYSTEM, text("Be"))
    )

    assert [one["role"] for one in found] == ["model", "user"]
    assert found[1]["parts"] == [
        {"functionResponse": {"id": "a", "name": "f", "response": {"output": "1"}}},
        {"text": "So?"},
        {"text": "<system>\nBe\n</system>"},
    ]


def test_an_error_of_a_tool_is_told_as_one():
    found = contents(turn(MODEL, call()), turn(USER, result(is_error=True)))

    assert found[1]["parts"][0]["functionResponse"]["response"] == {"error": "1"}


def test_a_result_nobody_asked_for_is_refused():
    with pytest.raises(InvalidRequestError) as refusal:
        encode(turn(USER, result("unknown")))

    assert refusal.value.param == "r"


def test_pictures_of_a_result_stand_inside_where_the_model_takes_them():
    history = (turn(MODEL, call()), turn(USER, result("a", text("see"), neutral.Image(source=PNG))))
    file = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}

    new, old = contents(*history, model=G3)[1], contents(*history)[1]

    assert new["parts"][0]["functionResponse"]["parts"] == [file]
    assert old["parts"][1:] == [{"text": "From the result of a:"}, file]


def test_only_googles_signatures_go_back():
    found, dropped = encode(
        turn(
            MODEL,
            neutral.Thinking(text="mine", signature=by_google("c2ln"), path="p0"),
            neutral.Thinking(text="", signature=by_google("YQ=="), path="p1"),
            neutral.Thinking(text="another's", signature="RXJV", path="p2"),
            neutral.Thinking(text="unsigned", path="p3"),
            neutral.RedactedThinking(data="x", path="p4"),
            neutral.RedactedThinking(data=by_google("Yw=="), path="p5"),
            text("Yes."),
            call(signature="Yg=="),
        ),
        model=G3,
    )

    assert found["contents"][0]["parts"] == [
        {"text": "mine", "thought": True, "thoughtSignature": "c2ln"},
        {"text": "", "thoughtSignature": "YQ=="},
        {"text": "", "thoughtSignature": "Yw=="},
        {"text": "Yes."},
        {
            "functionCall": {"id": "a", "name": "f", "args": {"x": 1}},
            "thoughtSignature": "Yg==",
        },
    ]
    assert dropped == ("p2", "p3", "p4")


def test_gemini_3_gets_a_stand_in_for_a_missing_signature_on_each_turns_first_call():
    history = (
        turn(MODEL, call("a"), call("b")),
        turn(USER, result("a"), result("b")),
        turn(MODEL, call("c", signature="c2ln"), call("d")),
        turn(USER, result("c"), result("d")),
    )

    signed = [
        part.get("thoughtSignature")
        for one in contents(*history, model=G3)
        if one["role"] == "model"
        for part in one["parts"]
    ]

    assert signed == ["skip_thought_signature_validator", None, "c2ln", None]
    assert "thoughtSignature" not in str(contents(*history[:2]))


def test_schemas_travel_untouched():
    request = neutral.Request(
        model="m",
        messages=(turn(USER, text("Hi")),),
        tools=(F,),
        tool_choice=neutral.ToolChoice(mode="named", name="f"),
        parallel_tool_calls=False,
        output=neutral.JsonSchema(schema=msgspec.Raw(b'{"b":2.50}'), name="n", description="d"),
    )

    encoded = GEMINI.encode_request(request, G25)

    body = msgspec.json.decode(encoded.body)
    assert b'"parametersJsonSchema":{"a":1.50}' in encoded.body
    assert b'"responseJsonSchema":{"b":2.50}' in encoded.body
    assert body["generationConfig"]["responseMimeType"] == "application/json"
    assert body["toolConfig"] == {
        "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}
    }
    assert encoded.dropped == (
        "parallel_tool_calls",
        "response_format.json_schema.description",
    )


def test_another_vendors_tool_is_refused():
    search = neutral.BuiltinTool(kind="web_search", raw=msgspec.Raw(b"{}"), path="tools.0")

    with pytest.raises(UnsupportedContentError) as refusal:
        encode(tools=(search,))

    assert refusal.value.param == "tools.0"


@pytest.mark.parametrize(
    ("model", "reasoning", "config", "dropped"),
    [
        (G25, neutral.Reasoning(effort="low"), {"thinkingBudget": 1024}, ()),
        (G25, neutral.Reasoning(effort="xhigh"), {"thinkingBudget": 24_576}, ()),
        (G25, neutral.Reasoning(mode="enabled", budget_tokens=90_000),
         {"thinkingBudget": 24_576}, ()),
        (G25, neutral.Reasoning(mode="adaptive"), {"thinkingBudget": -1}, ()),
        (G3, neutral.Reasoning(effort="medium"), {"thinkingLevel": "high"}, ()),
        (G3, neutral.Reasoning(effort="minimal"), {"thinkingLevel": "low"}, ()),
        (G3, neutral.Reasoning(mode="enabled", budget_tokens=1024), {"thinkingLevel": "low"}, ()),
        (G3, neutral.Reasoning(mode="adaptive"), {}, ()),
        ("gemini-3.1-pro", neutral.Reasoning(effort="medium"), {"thinkingLevel": "medium"}, ()),
        ("gemini-flash-latest", neutral.Reasoning(effort="minimal"),
         {"thinkingLevel": "minimal"}, ()),
    ],
)  # fmt: skip
def test_who_asks_for_reasoning_is_told_the_thoughts(model, reasoning, config, dropped):
    body, left = encode(model=model, reasoning=reasoning)

    assert body["generationConfig"]["thinkingConfig"] == {**config, "includeThoughts": True}
    assert left == dropped


@pytest.mark.parametrize(
    ("model", "config", "dropped"),
    [
        (G25, {"thinkingBudget": 0}, ()),
        ("gemini-2.5-pro", {"thinkingBudget": 128}, ("thinking",)),
        (G3, {"thinkingLevel": "low"}, ("thinking",)),
        ("gemini-3-flash-preview", {"thinkingLevel": "minimal"}, ("thinking",)),
        ("gemini-2.0-flash", None, ()),
        ("gemma-3-27b-it", None, ()),
    ],
)
def test_thinking_is_turned_off_as_far_as_the_model_allows(model, config, dropped):
    body, left = encode(model=model, reasoning=neutral.Reasoning(mode="disabled"))

    assert body.get("generationConfig", {}).get("thinkingConfig") == config
    assert left == dropped


def test_a_model_that_does_not_think_is_not_asked_to():
    body, dropped = encode(model="gemini-2.0-flash", reasoning=neutral.Reasoning(effort="high"))

    assert "generationConfig" not in body
    assert dropped == ("reasoning_effort",)


def test_knobs_the_api_lacks_are_named():
    body, dropped = encode(
        sampling=neutral.Sampling(max_tokens=9, logit_bias=msgspec.Raw(b"{}"), stop=("a",)),
        user="u",
        service_tier="scale",
        extra={"metadata": msgspec.Raw(b"{}")},
    )

    assert body["generationConfig"] == {"maxOutputTokens": 9, "stopSequences": ["a"]}
    assert dropped == ("metadata", "logit_bias", "service_tier", "user")


@pytest.mark.parametrize(
    ("tier", "sent"), [("default", "standard"), ("flex", "flex"), ("auto", None), (None, None)]
)
def test_service_tiers_have_googles_names(tier, sent):
    body, dropped = encode(service_tier=tier)

    assert body.get("serviceTier") == sent
    assert dropped == ()


def test_instructions_alone_are_sent_as_the_users():
    body, _ = encode(turn(USER), system=(text("Be kind."),))

    assert body == {"contents": [{"role": "user", "parts": [{"text": "Be kind."}]}]}


@pytest.mark.parametrize(
    "part",
    [
        neutral.Image(source=sources.FileSource("file-1", Family.OPENAI), path="p"),
        neutral.Document(source=sources.FileSource("file-1", Family.OPENAI), path="p"),
        neutral.Foreign(kind="search_result", raw=msgspec.Raw(b"{}"), path="p"),
    ],
)
def test_a_part_that_cannot_be_said_is_refused_by_its_path(part):
    with pytest.raises(UnsupportedContentError) as refusal:
        encode(turn(USER, part))

    assert refusal.value.param == "p"


def test_arguments_that_are_no_object_are_refused():
    broken = neutral.ToolCall(id="a", name="f", arguments="{", path="p")

    with pytest.raises(InvalidRequestError) as refusal:
        encode(turn(MODEL, broken))

    assert refusal.value.param == "p"


def test_media_by_address_and_text_documents():
    found = contents(
        turn(
            USER,
            neutral.Image(source=sources.UrlSource("https://example.org/a.png?x=1")),
            neutral.Audio(data="AAAA", format="mp3"),
            neutral.Document(source=sources.TextSource("body"), name="Title", context="Why"),
        )
    )

    assert found[0]["parts"] == [
        {"fileData": {"fileUri": "https://example.org/a.png?x=1", "mimeType": "image/png"}},
        {"inlineData": {"mimeType": "audio/mp3", "data": "AAAA"}},
        {"text": "Title\n\nWhy\n\nbody"},
    ]


def test_cache_marks_are_left_out_by_name():
    marked = neutral.Text(text="Hi", cache=neutral.CacheMark(), path="p")

    assert encode(turn(USER, marked))[1] == ("p.cache_control",)
