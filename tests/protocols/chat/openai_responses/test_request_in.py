"""Clients' requests, read into the neutral form."""

from typing import Any

import msgspec
import pytest

from meterway.kit import json
from meterway.kit.errors import InvalidRequestError
from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.anthropic_messages import ANTHROPIC_MESSAGES
from meterway.protocols.chat.envelopes import Envelope, seal, unseal
from meterway.protocols.chat.openai_chat import OPENAI_CHAT
from meterway.protocols.chat.openai_responses import OPENAI_RESPONSES
from meterway.protocols.chat.wording import words_of
from meterway.protocols.dialects import Dialect, Family
from meterway.protocols.errors import UnsupportedContentError

USER, ASSISTANT = neutral.Role.USER, neutral.Role.ASSISTANT
WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
SEARCH = {"type": "web_search"}


def decoded(**fields: Any) -> neutral.Request:
    body = {"model": "m", "input": "Hi", **fields}
    return OPENAI_RESPONSES.decode_request(json.decode_top(json.encode(body)))


def refusal(**fields: Any) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        decoded(**fields)
    return caught.value


def message(role: str, *content: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": list(content)}


def part(**fields: Any) -> neutral.AnyPart:
    return decoded(input=[message("user", fields)]).messages[0].parts[0]


def test_a_string_is_what_the_user_says():
    request = decoded(instructions="Be brief.")

    assert request.system == (neutral.Text(text="Be brief.", path="instructions"),)
    assert request.messages == (
        neutral.Message(role=USER, parts=(neutral.Text(text="Hi", path="input"),), path="input"),
    )


TALK: list[dict[str, Any]] = [
    {"role": "developer", "content": "Rules"},
    {"role": "user", "content": "Weather?"},
    {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "Ah"}],
    },
    message("assistant", {"type": "output_text", "text": "One moment"}),
    {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"a":1}'},
    {"type": "custom_tool_call", "call_id": "c2", "name": "patch", "input": 'say "x"'},
    {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
    {
        "type": "custom_tool_call_output",
        "call_id": "c2",
        "output": [{"type": "input_text", "text": "done"}],
    },
    {"role": "user", "content": [{"type": "input_text", "text": "Thanks"}]},
    {"role": "system", "content": "New rules"},
    message("assistant", {"type": "refusal", "refusal": "No"}),
]


def test_items_become_turns():
    request = decoded(input=TALK)

    assert [words_of(text.text) for text in request.system] == ["Rules"]
    assert [turn.role.value for turn in request.messages] == [
        "user", "assistant", "user", "system", "assistant",
    ]  # fmt: skip
    said = request.messages[1].parts
    assert said == (
        neutral.Thinking(text="Ah", path="input[2]"),
        neutral.Text(text="One moment", path="input[3].content[0]"),
        neutral.ToolCall(id="c1", name="weather", arguments='{"a":1}', path="input[4]"),
        neutral.ToolCall(
            id="c2", name="patch", arguments='{"input":"say \\"x\\""}', path="input[5]"
        ),
    )
    assert request.messages[4].parts == (neutral.Refusal(text="No", path="input[10].content[0]"),)


def test_results_of_tools_and_the_words_behind_them_are_one_turn():
    results = decoded(input=TALK).messages[2].parts

    assert results == (
        neutral.ToolResult(
            call_id="c1",
            content=(neutral.Text(text="sunny", path="input[6].output"),),
            path="input[6]",
        ),
        neutral.ToolResult(
            call_id="c2",
            content=(neutral.Text(text="done", path="input[7].output[0]"),),
            path="input[7]",
        ),
        neutral.Text(text="Thanks", path="input[8].content[0]"),
    )


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (
            {"type": "input_image", "image_url": "https://x.y/z.png", "detail": "low"},
            neutral.Image(source=sources.UrlSource("https://x.y/z.png"), detail="low"),
        ),
        (
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
            neutral.Image(source=sources.DataSource("image/png", "AAAA")),
        ),
        (
            {"type": "input_image", "file_id": "file-1"},
            neutral.Image(source=sources.FileSource("file-1", Family.OPENAI)),
        ),
        (
            {"type": "input_file", "file_data": "data:application/pdf;base64,AA", "filename": "a"},
            neutral.Document(source=sources.DataSource("application/pdf", "AA"), name="a"),
        ),
        (
            {"type": "input_file", "file_url": "https://x.y/z.pdf"},
            neutral.Document(source=sources.UrlSource("https://x.y/z.pdf")),
        ),
        (
            {"type": "input_file", "file_id": "file-1"},
            neutral.Document(source=sources.FileSource("file-1", Family.OPENAI)),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
            neutral.Audio(data="AA", format="wav"),
        ),
    ],
)
def test_parts_of_a_user_are_read(sent, expected):
    assert part(**sent) == msgspec.structs.replace(expected, path="input[0].content[0]")


def test_a_part_of_an_unknown_kind_is_refused_by_its_name_elsewhere():
    request = decoded(input=[message("user", {"type": "hologram", "x": 1})])

    with pytest.raises(UnsupportedContentError) as refused:
        OPENAI_CHAT.encode_request(request, "m")
    assert refused.value.param == "input[0].content[0]"
    assert "hologram" in refused.value.message


@pytest.mark.parametrize("kind", ["web_search_call", "tool_search_call", "computer_call_output"])
def test_items_of_tools_the_vendor_runs_are_refused_by_name_elsewhere(kind):
    request = decoded(input=[{"role": "user", "content": "Hi"}, {"type": kind, "arguments": {}}])

    for codec in (OPENAI_CHAT, ANTHROPIC_MESSAGES):
        with pytest.raises(UnsupportedContentError) as refused:
            codec.encode_request(request, "m")
        assert (refused.value.param, kind in refused.value.message) == ("input[1]", True)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": [{"type": "telepathy"}]}, "input[0].type"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].id"),
        ({"input": [{"id": "msg_1"}]}, "input[0].id"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": []}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": 1}]}, "input[0].content"),
        ({"input": [{"type": "message", "content": "x"}]}, "input[0].role"),
        ({"input": [message("user", {"type": "input_text"})]}, "input[0].content[0].text"),
        ({"input": [message("user", {"type": "input_image"})]}, "input[0].content[0].image_url"),
        ({"input": [message("user", {"type": "input_file"})]}, "input[0].content[0].file_data"),
        ({"input": [{"type": "function_call", "name": "f", "arguments": ""}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]}, "input[0].arguments"),
        (
            {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": {}}]},
            "input[0].arguments",
        ),
        ({"input": [{"type": "custom_tool_call", "call_id": "c", "name": "f"}]}, "input[0].input"),
        ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output"),
        ({"input": []}, "input"),
        ({"input": 3}, "input"),
        ({"input": [3]}, "input[0]"),
        ({"model": ""}, "model"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "namespace", "tools": []}]}, "tools[0].name"),
        (
            {"tools": [{"type": "namespace", "name": "n", "tools": [SEARCH]}]},
            "tools[0].tools[0].type",
        ),
        ({"tools": [WEATHER], "tool_choice": "maybe"}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"tools": [WEATHER], "tool_choice": {"type": "web_search_preview"}}, "tool_choice.type"),
        (
            {
                "tools": [WEATHER],
                "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []},
            },
            "tool_choice.tools",
        ),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    ],
)
def test_what_is_wrong_is_named(fields, param):
    assert refusal(**fields).param == param


def test_the_knobs_are_read():
    request = decoded(
        max_output_tokens=9,
        temperature=0.5,
        top_p=0.9,
        top_logprobs=3,
        parallel_tool_calls=False,
        reasoning={"effort": "high", "summary": "auto"},
        service_tier="flex",
        safety_identifier="user-1",
        stream=True,
    )

    assert request.sampling == neutral.Sampling(
        max_tokens=9, temperature=0.5, top_p=0.9, logprobs=True, top_logprobs=3
    )
    assert request.parallel_tool_calls is False
    assert request.reasoning == neutral.Reasoning(effort="high")
    assert (request.service_tier, request.user, request.stream) == ("flex", "user-1", True)
    assert request.extra == {}


def test_the_forms_of_text_are_read():
    schema = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}

    assert decoded(text={"format": schema}).output == neutral.JsonSchema(
        schema=msgspec.Raw(b'{"type":"object"}'), name="n", strict=True
    )
    assert decoded(text={"format": {"type": "json_object"}}).output == neutral.JsonObject()
    assert decoded(text={"format": {"type": "text"}}).output is None


def test_fields_that_only_this_api_knows_are_named_and_state_is_not():
    request = decoded(
        store=True,
        metadata={"a": "b"},
        previous_response_id="resp_1",
        include=["reasoning.encrypted_content"],
        truncation="disabled",
        prompt_cache_key="k",
        client_metadata={"x": "y"},
        text={"verbosity": "low"},
    )

    assert set(request.extra) == {"prompt_cache_key", "client_metadata", "text.verbosity"}
    assert set(decoded(truncation="auto").extra) == {"truncation"}


def test_a_custom_tool_becomes_a_function_of_one_string():
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: WORD"}
    custom = {"type": "custom", "name": "patch", "description": "Edits.", "format": grammar}

    (tool,) = decoded(tools=[custom], tool_choice={"type": "custom", "name": "patch"}).tools

    assert isinstance(tool, neutral.FunctionTool)
    assert tool.name == "patch"
    assert words_of(tool.description or "") == (
        "Edits.\n\nThe input has to follow this lark grammar:\nstart: WORD"
    )
    parameters = msgspec.json.decode(tool.parameters or b"")
    assert list(parameters["properties"]) == parameters["required"] == ["input"]


def test_tools_of_namespaces_get_names_of_their_own():
    space = {
        "type": "namespace",
        "name": "my files",
        "description": "Files.",
        "tools": [
            {"type": "function", "name": "read"},
            {"type": "custom", "name": "write"},
            {"type": "function", "name": "x" * 80},
            {"type": "function", "name": "y" + "x" * 80},
        ],
    }
    taken = {"type": "function", "name": "my_files__read"}
    call = {"type": "function_call", "call_id": "c", "name": "read", "arguments": "{}"}

    request = decoded(
        tools=[space, taken],
        input=[{"role": "user", "content": "Hi"}, {**call, "namespace": "my files"}],
    )

    names = [tool.name for tool in request.tools if isinstance(tool, neutral.FunctionTool)]
    assert names[:2] == ["my_files__read_2", "my_files__write"]
    assert names[4] == "my_files__read"
    assert len(set(names)) == len(names)
    assert all(len(name) <= 64 for name in names)
    assert request.tools[1].path == "tools[0].tools[1]"
    said = request.messages[1].parts[0]
    assert isinstance(said, neutral.ToolCall)
    assert said.name == "my_files__read_2"


def test_a_call_of_a_tool_no_longer_declared_keeps_a_valid_name():
    call = {"type": "function_call", "call_id": "c", "name": "read", "arguments": "{}"}
    request = decoded(input=[{**call, "namespace": "mcp__files"}])

    (said,) = request.messages[0].parts
    assert isinstance(said, neutral.ToolCall)
    assert said.name == "mcp__files__read"


def test_tools_the_vendor_runs_are_left_out_and_named():
    request = decoded(tools=[WEATHER, SEARCH], tool_choice="required")

    assert [tool.path for tool in request.tools] == ["tools[0]"]
    for codec in (OPENAI_CHAT, ANTHROPIC_MESSAGES):
        assert "tools[1].web_search" in codec.encode_request(request, "m").dropped


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [SEARCH]},
        {"tools": [WEATHER, SEARCH], "tool_choice": {"type": "web_search"}},
        {
            "tools": [WEATHER, SEARCH],
            "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [SEARCH]},
        },
    ],
    ids=["the only one", "demanded", "the only one allowed"],
)
def test_a_tool_the_vendor_runs_is_refused_where_it_is_needed(fields):
    request = decoded(**fields)

    for codec in (OPENAI_CHAT, ANTHROPIC_MESSAGES):
        with pytest.raises(UnsupportedContentError) as refused:
            codec.encode_request(request, "m")
        assert "web_search" in refused.value.message


def test_a_tool_the_vendor_runs_is_not_missed_where_none_may_be_called():
    request = decoded(tools=[SEARCH], tool_choice="none")

    assert (request.tools, request.tool_choice) == ((), None)


def test_a_choice_among_allowed_tools_leaves_the_others_out():
    space = {
        "type": "namespace",
        "name": "files",
        "description": "",
        "tools": [{"type": "function", "name": "read"}],
    }
    allowed = {"type": "allowed_tools", "mode": "required"}
    one = {**allowed, "tools": [{"type": "function", "name": "weather"}]}
    many = {**allowed, "tools": [{"type": "namespace", "name": "files"}]}
    tools = [WEATHER, {**WEATHER, "name": "other"}, space]

    for choice, names in ((one, ["weather"]), (many, ["files__read"])):
        request = decoded(tools=tools, tool_choice=choice)

        assert [tool.name for tool in request.tools if hasattr(tool, "name")] == names
        assert request.tool_choice == neutral.ToolChoice(mode="required")


def thought(encrypted: str, text: str = "") -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": text}] if text else []
    return {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": encrypted}


def test_another_vendors_signature_comes_back_as_it_was():
    signed = seal(Envelope(Dialect.ANTHROPIC_MESSAGES, "signature", "c2ln"))
    redacted = seal(Envelope(Dialect.ANTHROPIC_MESSAGES, "redacted", "cmVk"))
    called = seal(Envelope(Dialect.GEMINI, "call", "Z2Vt", "c1"))
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}

    request = decoded(
        input=[
            {"role": "user", "content": "Hi"},
            thought(signed, "Hm"),
            thought(redacted),
            thought(called),
            call,
        ]
    )

    assert request.messages[1].parts == (
        neutral.Thinking(text="Hm", signature="c2ln", path="input[1]"),
        neutral.RedactedThinking(data="cmVk", path="input[2]"),
        neutral.ToolCall(id="c1", name="f", arguments="{}", signature="Z2Vt", path="input[4]"),
    )


def test_a_signature_of_gemini_stays_in_its_envelope():
    signed = seal(Envelope(Dialect.GEMINI, "signature", "Z2Vt"))

    (turn,) = decoded(input=[thought(signed, "Hm")]).messages

    assert turn.parts == (neutral.Thinking(text="Hm", signature=signed, path="input[0]"),)


@pytest.mark.parametrize("text", ["Hm", ""])
def test_no_other_vendor_is_shown_openais_encrypted_content(text):
    request = decoded(
        input=[
            {"role": "user", "content": "Hi"},
            thought("gAAAA", text),
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "Bye"},
        ]
    )

    part = request.messages[1].parts[0]
    sealed = part.signature if isinstance(part, neutral.Thinking) else part.data  # type: ignore[union-attr] # one of the two kinds of thought
    assert unseal(sealed or "") == Envelope(Dialect.OPENAI_RESPONSES, "item", "gAAAA", "rs_1")
    for codec, model in (
        (ANTHROPIC_MESSAGES, "claude-opus-5"),
        (OPENAI_CHAT, "anthropic/claude-opus-5"),
        (OPENAI_CHAT, "deepseek-v4"),
    ):
        encoded = codec.encode_request(request, model)
        assert (sealed or "").encode() not in encoded.body
        assert b"gAAAA" not in encoded.body


def test_a_broken_envelope_is_no_signature():
    (turn,) = decoded(input=[thought("mw1.nonsense", "Hm")]).messages

    assert turn.parts == (neutral.Thinking(text="Hm", path="input[0]"),)


@pytest.mark.parametrize(
    ("part", "counted"),
    [
        ({"type": "input_image", "image_url": "data:;base64," + "A" * 9999}, (1, 0, 0)),
        ({"type": "input_file", "file_data": "A" * 9999}, (0, 1, 0)),
        ({"type": "input_audio", "input_audio": {"data": "A" * 99, "format": "wav"}}, (0, 0, 1)),
    ],
)
def test_media_is_counted_in_messages_and_outputs_of_tools(part, counted):
    output = {"type": "function_call_output", "call_id": "c", "output": [part]}
    for item in (message("user", part), output):
        body = json.decode_top(json.encode({"input": [item, message("user")], "tools": [SEARCH]}))

        sizes = OPENAI_RESPONSES.sizes(body)

        assert (sizes.images, sizes.documents, sizes.sounds) == counted
        assert (sizes.text or 9999) < 500
        assert sizes.tools == 1


def test_a_request_without_items_is_all_text():
    assert OPENAI_RESPONSES.sizes(json.decode_top(b'{"input":"hello"}')).text == 7
    assert OPENAI_RESPONSES.sizes(json.decode_top(b'{"input":[1]}')).text is None


def test_facts_are_what_routing_and_metering_need():
    body = b'{"model":"m","stream":true,"service_tier":"flex","max_output_tokens":7}'

    facts = OPENAI_RESPONSES.facts(json.decode_top(body))

    assert (facts.model, facts.stream, facts.include_usage) == ("m", True, True)
    assert (facts.service_tier, facts.max_tokens, facts.choices) == ("flex", 7, 1)


@pytest.mark.parametrize("body", [{"model": "m"}, {"model": "m", "input": None}])
def test_a_request_that_says_nothing_is_an_empty_word_of_its_user(body):
    request = OPENAI_RESPONSES.decode_request(json.decode_top(json.encode(body)))

    (message,) = request.messages
    assert (message.role, message.parts) == (
        neutral.Role.USER,
        (neutral.Text(text="", path="input"),),
    )
