"""Neutral requests, written for an upstream that speaks Responses."""

from typing import Any

import msgspec
import pytest

from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.envelopes import Envelope, seal
from meterway.protocols.chat.openai_responses import OPENAI_RESPONSES
from meterway.protocols.dialects import Dialect, Family
from meterway.protocols.errors import UnsupportedContentError

USER, ASSISTANT, SYSTEM = neutral.Role.USER, neutral.Role.ASSISTANT, neutral.Role.SYSTEM
HI = neutral.Message(role=USER, parts=(neutral.Text(text="Hi"),))
OWN = seal(Envelope(Dialect.OPENAI_RESPONSES, "item", "gAAAA", "rs_1"))


def encoded(*messages: neutral.Message, model: str = "gpt-5", **fields: Any):
    request = neutral.Request(model="asked", messages=messages or (HI,), **fields)
    return OPENAI_RESPONSES.encode_request(request, model)


def body(*messages: neutral.Message, **fields: Any) -> dict[str, Any]:
    sent: dict[str, Any] = msgspec.json.decode(encoded(*messages, **fields).body)
    return sent


def test_an_upstream_is_asked_without_state():
    assert body() == {
        "model": "gpt-5",
        "store": False,
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
        ],
    }


TALK = (
    HI,
    neutral.Message(
        role=ASSISTANT,
        parts=(
            neutral.Thinking(text="Hm", signature=OWN),
            neutral.Text(text="One moment"),
            neutral.ToolCall(id="c1", name="weather", arguments='{"a":1}'),
            neutral.ToolCall(id="c2", name="weather", arguments=""),
            neutral.Refusal(text="No"),
        ),
    ),
    neutral.Message(
        role=USER,
        parts=(
            neutral.ToolResult(call_id="c1", content=(neutral.Text(text="sunny"),)),
            neutral.ToolResult(
                call_id="c2",
                content=(
                    neutral.Text(text="a map"),
                    neutral.Image(source=sources.UrlSource("https://x.y/z.png")),
                ),
            ),
            neutral.ToolResult(call_id="c3", content=()),
            neutral.Text(text="Thanks"),
        ),
    ),
    neutral.Message(role=SYSTEM, parts=(neutral.Text(text="New rules"),)),
)
ITEMS = [
    {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "Hm"}],
        "encrypted_content": "gAAAA",
    },
    {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "One moment", "annotations": []}],
    },
    {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"a":1}'},
    {"type": "function_call", "call_id": "c2", "name": "weather", "arguments": "{}"},
    {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "refusal", "refusal": "No"}],
    },
    {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
    {
        "type": "function_call_output",
        "call_id": "c2",
        "output": [
            {"type": "input_text", "text": "a map"},
            {"type": "input_image", "detail": "auto", "image_url": "https://x.y/z.png"},
        ],
    },
    {"type": "function_call_output", "call_id": "c3", "output": ""},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Thanks"}]},
    {
        "type": "message",
        "role": "system",
        "content": [{"type": "input_text", "text": "New rules"}],
    },
]


def test_turns_become_items():
    system = (neutral.Text(text="Be brief."), neutral.Text(text="And kind."))

    sent = body(*TALK, system=system)

    assert sent["instructions"] == "Be brief.\n\nAnd kind."
    assert sent["input"][1:] == ITEMS


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (
            neutral.Image(source=sources.DataSource("image/png", "AAAA"), detail="low"),
            {"type": "input_image", "detail": "low", "image_url": "data:image/png;base64,AAAA"},
        ),
        (
            neutral.Image(source=sources.FileSource("file-1", Family.OPENAI)),
            {"type": "input_image", "detail": "auto", "file_id": "file-1"},
        ),
        (
            neutral.Document(source=sources.DataSource("application/pdf", "AA"), name="a.pdf"),
            {
                "type": "input_file",
                "filename": "a.pdf",
                "file_data": "data:application/pdf;base64,AA",
            },
        ),
        (
            neutral.Document(source=sources.UrlSource("https://x.y/z.pdf")),
            {"type": "input_file", "file_url": "https://x.y/z.pdf"},
        ),
        (
            neutral.Document(source=sources.FileSource("file-1", Family.OPENAI)),
            {"type": "input_file", "file_id": "file-1"},
        ),
        (
            neutral.Document(source=sources.TextSource("words"), name="a.txt", context="Old."),
            {"type": "input_text", "text": "a.txt\n\nOld.\n\nwords"},
        ),
        (
            neutral.Document(source=sources.DataSource("text/plain", "d29yZHM=")),
            {"type": "input_text", "text": "words"},
        ),
        (
            neutral.Audio(data="AA", format="wav"),
            {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
        ),
    ],
)
def test_what_a_user_shows_is_sent(part, sent):
    (item,) = body(neutral.Message(role=USER, parts=(part,)))["input"]

    assert item["content"] == [sent]


@pytest.mark.parametrize(
    ("role", "part"),
    [
        (USER, neutral.Foreign(kind="search_result", raw=msgspec.Raw(b"{}"), path="p")),
        (ASSISTANT, neutral.Image(source=sources.FileSource("f", Family.OPENAI), path="p")),
        (
            USER,
            neutral.Document(source=sources.DataSource("text/plain", "/w=="), path="p"),
        ),
    ],
)
def test_what_cannot_be_said_is_refused_by_its_path(role, part):
    with pytest.raises(UnsupportedContentError) as refused:
        encoded(neutral.Message(role=role, parts=(part,)))

    assert refused.value.param == "p"


@pytest.mark.parametrize(
    "part",
    [
        neutral.Thinking(text="Hm", path="p"),
        neutral.Thinking(text="Hm", signature="c2ln", path="p"),
        neutral.RedactedThinking(data="cmVk", path="p"),
        neutral.RedactedThinking(
            data=seal(Envelope(Dialect.ANTHROPIC_MESSAGES, "redacted", "cmVk")), path="p"
        ),
    ],
)
def test_thoughts_of_others_are_left_out_and_named(part):
    sent = encoded(HI, neutral.Message(role=ASSISTANT, parts=(part,)))

    assert sent.dropped == ("p",)
    assert b"reasoning" not in sent.body


def test_tools_are_functions_that_are_strict_only_where_it_was_said():
    tools = (
        neutral.FunctionTool(
            name="weather",
            description="Tells it.",
            parameters=msgspec.Raw(b'{"type":"object"}'),
            strict=True,
        ),
        neutral.FunctionTool(name="time"),
    )

    sent = body(
        tools=tools,
        tool_choice=neutral.ToolChoice(mode="named", name="time"),
        parallel_tool_calls=False,
    )

    assert sent["tools"] == [
        {
            "type": "function",
            "name": "weather",
            "description": "Tells it.",
            "parameters": {"type": "object"},
            "strict": True,
        },
        {
            "type": "function",
            "name": "time",
            "parameters": {"type": "object", "properties": {}},
            "strict": False,
        },
    ]
    assert sent["tool_choice"] == {"type": "function", "name": "time"}
    assert sent["parallel_tool_calls"] is False
    required = body(tools=tools, tool_choice=neutral.ToolChoice(mode="required"))
    assert required["tool_choice"] == "required"


def test_a_tool_of_another_vendor_is_refused():
    tool = neutral.BuiltinTool(kind="bash_20250124", raw=msgspec.Raw(b"{}"), path="tools[0]")

    with pytest.raises(UnsupportedContentError) as refused:
        encoded(tools=(tool,))

    assert refused.value.param == "tools[0]"


def test_knobs_the_api_lacks_are_left_out_and_named():
    sampling = neutral.Sampling(
        max_tokens=9,
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        stop=("x",),
        seed=1,
        presence_penalty=0.1,
        frequency_penalty=0.0,
        logprobs=True,
        top_logprobs=2,
        logit_bias=msgspec.Raw(b"{}"),
        n=1,
    )

    sent = encoded(sampling=sampling, extra={"odd": msgspec.Raw(b"1")}, service_tier="fast_us")

    told = msgspec.json.decode(sent.body)
    assert (told["max_output_tokens"], told["temperature"], told["top_p"]) == (9, 0.5, 0.9)
    assert (told["top_logprobs"], told["include"]) == (2, ["message.output_text.logprobs"])
    assert set(sent.dropped) == {
        "odd", "stop", "top_k", "seed", "presence_penalty", "logit_bias", "service_tier",
    }  # fmt: skip


def test_more_than_one_choice_is_refused():
    with pytest.raises(UnsupportedContentError) as refused:
        encoded(sampling=neutral.Sampling(n=2))

    assert refused.value.param == "n"


@pytest.mark.parametrize(
    ("reasoning", "model", "sent", "asked"),
    [
        (neutral.Reasoning(effort="high"), "gpt-5", {"effort": "high"}, True),
        (
            neutral.Reasoning(mode="enabled", budget_tokens=5000),
            "gpt-5",
            {"effort": "medium", "summary": "auto"},
            True,
        ),
        (neutral.Reasoning(mode="adaptive"), "gpt-5", {"summary": "auto"}, True),
        (neutral.Reasoning(mode="disabled"), "gpt-5.2", {"effort": "none"}, False),
        (neutral.Reasoning(effort="high"), "grok-4", {"effort": "high"}, True),
        (neutral.Reasoning(effort="high"), "llama-4", {"effort": "high"}, False),
    ],
)
def test_how_much_to_think(reasoning, model, sent, asked):
    told = body(reasoning=reasoning, model=model)

    assert told["reasoning"] == sent
    assert ("reasoning.encrypted_content" in told.get("include", ())) is asked


def test_a_model_that_does_not_reason_is_not_told_to():
    sent = encoded(reasoning=neutral.Reasoning(effort="high"), model="gpt-4o")

    assert sent.dropped == ("reasoning_effort",)
    assert b"reasoning" not in sent.body


def test_the_form_of_the_answer():
    schema = neutral.JsonSchema(
        schema=msgspec.Raw(b'{"type":"object"}'), description="A thing.", strict=True
    )

    assert body(output=neutral.JsonObject())["text"] == {"format": {"type": "json_object"}}
    assert body(output=schema)["text"] == {
        "format": {
            "type": "json_schema",
            "name": "reply",
            "description": "A thing.",
            "schema": {"type": "object"},
            "strict": True,
        }
    }


def test_marks_names_and_errors_of_tools_are_named():
    mark = neutral.CacheMark()
    result = neutral.ToolResult(
        call_id="c",
        content=(neutral.Text(text="x", path="r", cache=mark),),
        is_error=True,
        path="t",
    )
    text = neutral.Text(text="Hi", path="a", cache=mark)
    turn = neutral.Message(role=USER, parts=(result, text), name="Ann", path="m")

    sent = encoded(turn, system=(neutral.Text(text="s", path="system", cache=mark),))

    assert set(sent.dropped) == {
        "m.name", "t.is_error", "r.cache_control", "a.cache_control", "system.cache_control",
    }  # fmt: skip


def test_a_stream_is_asked_for():
    sent = body(stream=True, user="u", service_tier="flex")

    assert (sent["stream"], sent["user"], sent["service_tier"]) == (True, "u", "flex")
