"""What upstreams of this dialect are sent: asserted on the wire."""

import base64

import msgspec
import pytest

from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.openai_chat import OPENAI_CHAT
from meterway.protocols.dialects import Family
from meterway.protocols.errors import UnsupportedContentError

USER, ASSISTANT, SYSTEM = neutral.Role.USER, neutral.Role.ASSISTANT, neutral.Role.SYSTEM
IMAGE = neutral.Image(source=sources.DataSource("image/png", "AAAA"), path="p.image")


def turn(role, *parts, **fields) -> neutral.Message:
    return neutral.Message(role=role, parts=parts, **fields)


def text(said: str) -> neutral.Text:
    return neutral.Text(text=said)


def encode(*messages, model="gpt-4o", **fields):
    request = neutral.Request(model="x", messages=messages or (turn(USER, text("hi")),), **fields)
    encoded = OPENAI_CHAT.encode_request(request, model)
    return msgspec.json.decode(encoded.body), encoded.dropped


def messages_of(*messages, **fields):
    return encode(*messages, **fields)[0]["messages"]


def test_a_plain_request_has_nothing_that_was_not_asked():
    body, dropped = encode()

    assert body == {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
    assert dropped == ()


def test_system_texts_are_one_message_and_later_ones_stay():
    sent = messages_of(
        turn(USER, text("a")), turn(SYSTEM, text("now b")), system=(text("x"), text("y"))
    )

    assert sent == [
        {"role": "system", "content": "x\n\ny"},
        {"role": "user", "content": "a"},
        {"role": "system", "content": "now b"},
    ]


def test_results_stand_right_behind_their_calls_and_their_images_follow():
    sent = messages_of(
        turn(
            ASSISTANT,
            neutral.ToolCall(id="a", name="f", arguments="{}"),
            neutral.ToolCall(id="b", name="g", arguments=""),
        ),
        turn(USER, neutral.ToolResult(call_id="a", content=(text("seen"), IMAGE)), text("next")),
        turn(USER, neutral.ToolResult(call_id="b", content=(IMAGE,))),
    )

    assert [message["role"] for message in sent] == ["assistant", "tool", "tool", "user", "user"]
    assert sent[0]["content"] is None
    assert [call["function"]["arguments"] for call in sent[0]["tool_calls"]] == ["{}", "{}"]
    assert sent[1]["content"] == "seen\n\n[files of a follow in the next message]"
    assert sent[3]["content"] == [
        {"type": "text", "text": "From the result of a:"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "text", "text": "next"},
    ]
    assert sent[4]["content"][0]["text"] == "From the result of b:"


def test_documents_are_files_or_text():
    plain = base64.b64encode("Grüße".encode()).decode()
    sent = messages_of(
        turn(
            USER,
            neutral.Document(source=sources.DataSource("application/pdf", "JVBE"), context="old"),
            neutral.Document(source=sources.FileSource("file-1", Family.OPENAI)),
            neutral.Document(source=sources.TextSource("body"), name="a.txt"),
            neutral.Document(source=sources.DataSource("text/plain", plain)),
        )
    )

    assert sent[0]["content"] == [
        {"type": "text", "text": "old"},
        {
            "type": "file",
            "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBE"},
        },
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "text", "text": "a.txt\n\nbody"},
        {"type": "text", "text": "Grüße"},
    ]


@pytest.mark.parametrize(
    ("role", "part"),
    [
        (USER, neutral.Foreign(kind="video_url", raw=msgspec.Raw(b"{}"), path="here")),
        (USER, neutral.Image(source=sources.FileSource("f", Family.OPENAI), path="here")),
        (USER, neutral.Document(source=sources.UrlSource("https://a/b.pdf"), path="here")),
        (USER, neutral.Document(source=sources.DataSource("text/plain", "%%"), path="here")),
        (ASSISTANT, neutral.Foreign(kind="server_tool_use", raw=msgspec.Raw(b"{}"), path="here")),
        (ASSISTANT, neutral.Image(source=sources.UrlSource("https://a/b"), path="here")),
        (ASSISTANT, neutral.Document(source=sources.TextSource("x"), path="here")),
        (ASSISTANT, neutral.Audio(data="", format="wav", path="here")),
        (SYSTEM, neutral.Image(source=sources.UrlSource("https://a/b"), path="here")),
    ],
)
def test_a_part_that_cannot_be_said_is_refused_by_its_path(role, part):
    with pytest.raises(UnsupportedContentError) as refusal:
        encode(turn(role, part))

    assert refusal.value.param == "here"


def test_a_vendors_own_tool_is_refused_by_its_path():
    tool = neutral.BuiltinTool(kind="web_search", raw=msgspec.Raw(b"{}"), path="tools.0")

    with pytest.raises(UnsupportedContentError, match="web_search") as refusal:
        encode(tools=(tool,))

    assert refusal.value.param == "tools.0"


def test_knobs_of_other_dialects_are_left_out_and_named():
    mark = neutral.CacheMark()
    body, dropped = encode(
        turn(USER, neutral.Text(text="a", cache=mark, path="messages.0.content.0")),
        turn(USER, neutral.ToolResult(call_id="a", content=(), is_error=True, path="r")),
        tools=(neutral.FunctionTool(name="f", cache=mark, path="tools.0"),),
        sampling=neutral.Sampling(top_k=5),
        service_tier="standard_only",
        extra={"container": msgspec.Raw(b"1")},
    )

    assert sorted(dropped) == [
        "container",
        "messages.0.content.0.cache_control",
        "r.is_error",
        "service_tier",
        "tools.0.cache_control",
        "top_k",
    ]
    assert set(body) == {"model", "messages", "tools"}


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o", "max_tokens"),
        ("llama-3.3-70b", "max_tokens"),
        ("gpt-oss-120b", "max_tokens"),
        ("o1", "max_completion_tokens"),
        ("o4-mini-2025-04-16", "max_completion_tokens"),
        ("gpt-5", "max_completion_tokens"),
        ("gpt-5.1-codex", "max_completion_tokens"),
        ("openai/gpt-5-mini", "max_completion_tokens"),
        ("olmo-2", "max_tokens"),
    ],
)
def test_the_limit_has_the_name_the_model_knows(model, name):
    body, _ = encode(model=model, sampling=neutral.Sampling(max_tokens=9))

    assert body[name] == 9
    assert len({"max_tokens", "max_completion_tokens"} & set(body)) == 1


@pytest.mark.parametrize(
    ("model", "reasoning", "effort", "dropped"),
    [
        ("o3", neutral.Reasoning(effort="high"), "high", ()),
        ("o3", neutral.Reasoning(mode="enabled", budget_tokens=1024), "minimal", ()),
        ("o3", neutral.Reasoning(mode="enabled", budget_tokens=4000), "low", ()),
        ("o3", neutral.Reasoning(mode="enabled", budget_tokens=10_000), "medium", ()),
        ("o3", neutral.Reasoning(mode="enabled", budget_tokens=31_999), "high", ()),
        ("o3", neutral.Reasoning(mode="adaptive"), None, ("thinking",)),
        ("o3", neutral.Reasoning(mode="adaptive", effort="max"), "max", ()),
        ("o3", neutral.Reasoning(mode="disabled"), "low", ()),
        ("gpt-5", neutral.Reasoning(mode="disabled"), "minimal", ()),
        ("gpt-5.2", neutral.Reasoning(mode="disabled"), "none", ()),
        ("qwen3", neutral.Reasoning(mode="disabled"), None, ("thinking",)),
        ("gpt-4o", neutral.Reasoning(effort="high"), None, ("reasoning_effort",)),
        ("gemini-2.5-flash", neutral.Reasoning(effort="low"), "low", ()),
    ],
)
def test_reasoning_becomes_an_effort_the_model_knows(model, reasoning, effort, dropped):
    body, left_out = encode(model=model, reasoning=reasoning)

    assert body.get("reasoning_effort") == effort
    assert left_out == dropped


def test_earlier_reasoning_goes_back_only_where_it_is_wanted():
    said = turn(
        ASSISTANT, neutral.Thinking(text="hm", signature="sig", path="messages.1.0"), text("ok")
    )

    deepseek, _ = encode(said, model="deepseek-chat")
    claude, _ = encode(said, model="anthropic/claude-sonnet-4")
    gpt, dropped = encode(said, model="gpt-4o")

    assert deepseek["messages"][0]["reasoning_content"] == "hm"
    assert claude["messages"][0]["reasoning_details"] == [
        {"type": "reasoning.text", "text": "hm", "index": 0, "signature": "sig"}
    ]
    assert gpt["messages"][0] == {"role": "assistant", "content": "ok"}
    assert dropped == ("messages.1.0",)


def test_a_refusal_is_text_to_servers_that_know_no_refusals():
    said = turn(ASSISTANT, neutral.Refusal(text="No."))

    assert messages_of(said, model="gpt-4o")[0]["refusal"] == "No."
    assert messages_of(said, model="llama-3")[0] == {"role": "assistant", "content": "No."}


def test_schemas_tools_and_choices_are_written_to_the_letter():
    schema = msgspec.Raw(b'{"type":"object"}')
    body, _ = encode(
        tools=(
            neutral.FunctionTool(name="f", description="F.", parameters=schema, strict=True),
            neutral.FunctionTool(name="g"),
        ),
        tool_choice=neutral.ToolChoice(mode="named", name="f"),
        parallel_tool_calls=False,
        output=neutral.JsonSchema(schema=schema, strict=True),
    )

    assert body["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "f",
                "description": "F.",
                "parameters": {"type": "object"},
                "strict": True,
            },
        },
        {"type": "function", "function": {"name": "g"}},
    ]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert body["parallel_tool_calls"] is False
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "reply", "schema": {"type": "object"}, "strict": True},
    }


def test_a_stream_always_asks_for_its_usage():
    body, _ = encode(stream=True)

    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
