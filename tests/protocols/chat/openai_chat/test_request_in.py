"""Clients' requests, read into the neutral form."""

from pathlib import Path

import msgspec
import pytest

from meterway.kit import json
from meterway.kit.errors import InvalidRequestError
from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.openai_chat import OPENAI_CHAT
from meterway.protocols.dialects import Family

WIRE = Path(__file__).parents[3] / "wire" / "openai_chat"
ASK = {"role": "user", "content": "hi"}


def decode(**fields) -> neutral.Request:
    body = {"model": "m", "messages": [ASK], **fields}
    return OPENAI_CHAT.decode_request(json.decode_top(json.encode(body)))


def everything() -> neutral.Request:
    body = (WIRE / "everything.json").read_bytes()
    return OPENAI_CHAT.decode_request(json.decode_top(body))


def test_leading_system_and_developer_messages_are_the_system_prompt():
    request = everything()

    assert request.system == (
        neutral.Text(text="Be brief.", path="messages[0].content"),
        neutral.Text(
            text="Answer in French.",
            path="messages[1].content[0]",
            cache=neutral.CacheMark(ttl="1h"),
        ),
    )


def test_a_later_system_message_stays_where_it_stands():
    request = everything()

    roles = [message.role.value for message in request.messages]
    assert roles == ["user", "assistant", "user", "system", "assistant", "user"]


def test_every_kind_of_user_part_is_read_with_its_path():
    request = everything()

    message = request.messages[0]
    at = "messages[2].content"
    assert message.name == "ada"
    assert message.parts == (
        neutral.Text(text="What is this?", path=f"{at}[0]"),
        neutral.Image(
            source=sources.UrlSource("https://example.com/cat.png"), detail="low", path=f"{at}[1]"
        ),
        neutral.Image(source=sources.DataSource("image/png", "iVBORw0KGgo="), path=f"{at}[2]"),
        neutral.Audio(data="UklGRg==", format="wav", path=f"{at}[3]"),
        neutral.Document(
            source=sources.DataSource("application/pdf", "JVBERi0="),
            name="a.pdf",
            path=f"{at}[4]",
        ),
        neutral.Document(source=sources.FileSource("file-123", Family.OPENAI), path=f"{at}[5]"),
    )


def test_parallel_calls_and_their_results_are_one_turn_each():
    request = everything()

    assistant, results = request.messages[1], request.messages[2]
    assert assistant.parts == (
        neutral.Thinking(text="A cat?", path="messages[3].reasoning_content"),
        neutral.Text(text="Let me look.", path="messages[3].content"),
        neutral.ToolCall(
            id="call_1", name="look", arguments='{"x": 1}', path="messages[3].tool_calls[0]"
        ),
        neutral.ToolCall(
            id="call_2", name="look", arguments="{}", path="messages[3].tool_calls[1]"
        ),
    )
    kinds = [type(part).__name__ for part in results.parts]
    assert kinds == ["ToolResult", "ToolResult", "Text"]


def test_every_knob_is_read():
    request = everything()

    sampling = request.sampling
    assert sampling == neutral.Sampling(
        max_tokens=512,
        temperature=0.5,
        top_p=0.9,
        stop=("END", "STOP"),
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=-0.1,
        logprobs=True,
        top_logprobs=3,
        logit_bias=sampling.logit_bias,
        n=2,
    )
    assert sampling.logit_bias is not None
    assert msgspec.json.decode(sampling.logit_bias) == {"50256": -100}
    assert request.reasoning == neutral.Reasoning(effort="high")
    assert (request.service_tier, request.user) == ("flex", "u-1")
    assert (request.stream, request.include_usage) == (True, True)
    assert request.tool_choice == neutral.ToolChoice(mode="named", name="look")
    assert request.parallel_tool_calls is False
    assert sorted(request.extra) == ["metadata", "prediction", "store", "verbosity"]


def test_tools_and_schemas_keep_their_bytes():
    request = everything()

    tool, output = request.tools[0], request.output
    assert isinstance(tool, neutral.FunctionTool)
    assert (tool.name, tool.strict, tool.cache) == ("look", True, neutral.CacheMark())
    assert tool.parameters is not None
    assert b'"additionalProperties": false' in bytes(tool.parameters)
    assert isinstance(output, neutral.JsonSchema)
    assert (output.name, output.description, output.strict) == ("answer", "An answer.", True)


def test_null_is_the_same_as_absent():
    knobs = ["temperature", "max_tokens", "stop", "tools", "tool_choice", "n", "logit_bias", "user"]

    request = decode(**dict.fromkeys(knobs), metadata=None)

    assert request == decode()


def test_the_newer_limit_wins():
    assert decode(max_tokens=5, max_completion_tokens=7).sampling.max_tokens == 7
    assert decode(max_tokens=5).sampling.max_tokens == 5


def test_one_stop_string_is_a_list_of_one():
    assert decode(stop="END").sampling.stop == ("END",)


@pytest.mark.parametrize(
    ("fields", "reasoning"),
    [
        ({"reasoning_effort": "none"}, neutral.Reasoning(effort="none")),
        ({"reasoning": {"effort": "low"}}, neutral.Reasoning(effort="low")),
        (
            {"reasoning": {"max_tokens": 2000}},
            neutral.Reasoning(mode="enabled", budget_tokens=2000),
        ),
        ({"reasoning": {"enabled": False}}, neutral.Reasoning(mode="disabled")),
        ({"reasoning": {"enabled": True}}, neutral.Reasoning(effort="medium")),
        ({"reasoning": {"exclude": True}}, None),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 4000}},
            neutral.Reasoning(mode="enabled", budget_tokens=4000),
        ),
        ({"thinking": {"type": "disabled"}}, neutral.Reasoning(mode="disabled")),
        ({"thinking": {"type": "adaptive"}}, neutral.Reasoning(mode="adaptive")),
    ],
)
def test_reasoning_is_read_in_every_spelling(fields, reasoning):
    assert decode(**fields).reasoning == reasoning


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", neutral.ToolChoice(mode="auto")),
        ("none", neutral.ToolChoice(mode="none")),
        ("required", neutral.ToolChoice(mode="required")),
        ("any", neutral.ToolChoice(mode="required")),
        (
            {"type": "function", "function": {"name": "f"}},
            neutral.ToolChoice(mode="named", name="f"),
        ),
        ({"type": "custom", "custom": {"name": "c"}}, neutral.ToolChoice(mode="named", name="c")),
    ],
)
def test_every_form_of_tool_choice_is_read(choice, expected):
    tools = [{"type": "function", "function": {"name": "f"}}]

    assert decode(tools=tools, tool_choice=choice).tool_choice == expected


def test_allowed_tools_leave_the_others_out():
    tools = [
        {"type": "function", "function": {"name": "f"}},
        {"type": "function", "function": {"name": "g"}},
        {"type": "custom", "custom": {"name": "c"}},
    ]
    allowed = {
        "mode": "required",
        "tools": [
            {"type": "function", "function": {"name": "g"}},
            {"type": "custom", "custom": {"name": "c"}},
        ],
    }

    request = decode(tools=tools, tool_choice={"type": "allowed_tools", "allowed_tools": allowed})

    assert [tool.path for tool in request.tools] == ["tools[1]", "tools[2]"]
    assert request.tool_choice == neutral.ToolChoice(mode="required")


def test_a_custom_tool_is_kept_to_be_refused_by_name():
    request = decode(tools=[{"type": "custom", "custom": {"name": "c"}}])

    assert isinstance(request.tools[0], neutral.BuiltinTool)
    assert (request.tools[0].kind, request.tools[0].path) == ("custom", "tools[0]")


def test_deprecated_functions_are_tools_and_their_messages_calls_and_results():
    request = decode(
        messages=[
            ASK,
            {
                "role": "assistant",
                "content": None,
                "function_call": {"name": "f", "arguments": "{}"},
            },
            {"role": "function", "name": "f", "content": "done"},
        ],
        functions=[{"name": "f", "parameters": {}}],
        function_call={"name": "f"},
    )

    call, result = request.messages[1].parts[0], request.messages[2].parts[0]
    assert isinstance(call, neutral.ToolCall)
    assert isinstance(result, neutral.ToolResult)
    assert call.id == result.call_id != ""
    assert isinstance(request.tools[0], neutral.FunctionTool)
    assert request.tool_choice == neutral.ToolChoice(mode="named", name="f")


def test_signed_and_encrypted_reasoning_comes_back_as_it_was_sent():
    details = [
        {"type": "reasoning.text", "text": "Let ", "index": 0},
        {"type": "reasoning.text", "text": "me think.", "index": 0},
        {"type": "reasoning.text", "text": "", "signature": "sig", "index": 0},
        {"type": "reasoning.encrypted", "data": "xyz", "index": 1},
        {"type": "reasoning.text", "text": "More.", "index": 2},
    ]
    message = {"role": "assistant", "content": "42", "reasoning_details": details}

    request = decode(messages=[ASK, {**message, "reasoning_content": "Let me think.More."}])

    at = "messages[1].reasoning_details"
    assert request.messages[1].parts == (
        neutral.Thinking(text="Let me think.", signature="sig", path=f"{at}[0]"),
        neutral.RedactedThinking(data="xyz", path=f"{at}[3]"),
        neutral.Thinking(text="More.", path=f"{at}[4]"),
        neutral.Text(text="42", path="messages[1].content"),
    )


def test_a_signature_ends_its_part_where_items_have_no_index():
    details = [
        {"type": "reasoning.text", "text": "a", "signature": "s1"},
        {"type": "reasoning.text", "text": "b", "signature": "s2"},
    ]

    request = decode(messages=[{"role": "assistant", "reasoning_details": details}])

    signed = [(part.text, part.signature) for part in request.messages[0].parts]  # type: ignore[union-attr]  # the wrong kind fails the test
    assert signed == [("a", "s1"), ("b", "s2")]


def test_images_in_a_tools_result_are_kept():
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    messages = [ASK, {"role": "tool", "tool_call_id": "c", "content": [image]}]

    request = decode(messages=messages)

    result = request.messages[1].parts[0]
    assert isinstance(result, neutral.ToolResult)
    assert isinstance(result.content[0], neutral.Image)


def test_an_unknown_part_is_kept_to_be_refused_by_name():
    part = {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}}

    request = decode(messages=[{"role": "user", "content": [part]}])

    kept = request.messages[0].parts[0]
    assert isinstance(kept, neutral.Foreign)
    assert (kept.kind, kept.path) == ("video_url", "messages[0].content[0]")


def user(part):
    return [{"role": "user", "content": [part]}]


AT = "messages[0].content[0]"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [5]}, "messages[0]"),
        ({"messages": [{}]}, "messages[0].role"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ({"messages": user({})}, f"{AT}.type"),
        ({"messages": user("text")}, AT),
        ({"messages": user({"type": "text"})}, f"{AT}.text"),
        ({"messages": user({"type": "text", "text": 5})}, f"{AT}.text"),
        ({"messages": user({"type": "image_url"})}, f"{AT}.image_url"),
        ({"messages": user({"type": "image_url", "image_url": {}})}, f"{AT}.image_url.url"),
        (
            {"messages": user({"type": "image_url", "image_url": {"url": 5}})},
            f"{AT}.image_url.url",
        ),
        (
            {"messages": user({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}})},
            f"{AT}.image_url.url",
        ),
        (
            {"messages": user({"type": "image_url", "image_url": {"url": "data:image/png,abc"}})},
            f"{AT}.image_url.url",
        ),
        ({"messages": user({"type": "input_audio", "input_audio": {}})}, f"{AT}.input_audio.data"),
        ({"messages": user({"type": "file", "file": {}})}, f"{AT}.file.file_id"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages[0].name"),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].name"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"type": "function"}]}]},
            "messages[0].tool_calls[0].id",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "function": {}}]}]},
            "messages[0].tool_calls[0].function.name",
        ),
        ({"messages": [{"role": "assistant", "tool_calls": 5}]}, "messages[0].tool_calls"),
        (
            {
                "messages": [
                    {
                        "role": "system",
                        "content": [{"type": "image_url", "image_url": "https://a/b"}],
                    }
                ]
            },
            "messages[0].content[0]",
        ),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function"),
        (
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "auto",
                        "tools": [{"type": "function", "function": {"name": "nope"}}],
                    },
                }
            },
            "tool_choice.allowed_tools.tools",
        ),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"n": 0}, "n"),
        ({"stop": 5}, "stop"),
        ({"stop": ["a", 5]}, "stop[1]"),
        ({"logit_bias": []}, "logit_bias"),
        ({"top_logprobs": -1}, "top_logprobs"),
        ({"response_format": {"type": "yaml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"reasoning_effort": 5}, "reasoning_effort"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
        ({"user": 5}, "user"),
    ],
)
def test_bad_input_is_refused_with_its_json_path(fields, param):
    with pytest.raises(InvalidRequestError) as refusal:
        decode(**fields)

    assert refusal.value.param == param
    assert param in refusal.value.message


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}',
        b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}',
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"seed":1e999}',
        b'{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":{"a":"\xff"}}}]}]}',
        b'{"model":"m","messages":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"model":"m","messages":[{"role":"user","content":' + b"[" * 900 + b"]" * 900 + b"}]}",
        b'{"model":"m","messages":NaN}',
        b'{"model":"\\ud800","messages":[]}',
    ],
)
def test_hostile_json_is_a_refusal_never_a_crash(body):
    with pytest.raises(InvalidRequestError):
        OPENAI_CHAT.decode_request(json.decode_top(body))


def test_a_key_given_twice_counts_once():
    body = b'{"model":"cheap","messages":[{"role":"user","content":"x"}],"model":"dear"}'

    assert OPENAI_CHAT.decode_request(json.decode_top(body)).model == "dear"
