"""What an Anthropic upstream is sent for a neutral request."""

import base64
from typing import Any

import msgspec
import pytest

from meterway.kit.errors import InvalidRequestError
from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.anthropic_messages import ANTHROPIC_MESSAGES
from meterway.protocols.chat.anthropic_messages.request_out import JSON_FITTING, JSON_ONLY
from meterway.protocols.dialects import Family
from meterway.protocols.errors import UnsupportedContentError

USER, ASSISTANT, SYSTEM = neutral.Role.USER, neutral.Role.ASSISTANT, neutral.Role.SYSTEM
Raw = msgspec.Raw


PNG = sources.DataSource(media_type="image/png", data="AA==")


def text(words: str, **fields: Any) -> neutral.Text:
    return neutral.Text(text=words, **fields)


def turn(role: neutral.Role, *parts: neutral.AnyPart | str, path="m") -> neutral.Message:
    made = tuple(text(part) if isinstance(part, str) else part for part in parts)
    return neutral.Message(role=role, parts=made, path=path)


def call(id_: str, arguments: str = "{}", path: str = "") -> neutral.ToolCall:
    return neutral.ToolCall(id=id_, name="f", arguments=arguments, path=path)


def result(id_: str, words: str = "r") -> neutral.ToolResult:
    return neutral.ToolResult(call_id=id_, content=(text(words),))


def encode(*messages: neutral.Message, model="claude-opus-5", **fields):
    request = neutral.Request(model="asked", messages=messages or (turn(USER, "Hi"),), **fields)
    encoded = ANTHROPIC_MESSAGES.encode_request(request, model)
    return msgspec.json.decode(encoded.body), encoded.dropped


def sent(*messages: neutral.Message, model="claude-opus-5") -> list[Any]:
    """Roles and contents, text blocks as their text, others as (type, first fact)."""
    body, _ = encode(*messages, model=model)
    return [(one["role"], [_short(block) for block in one["content"]]) for one in body["messages"]]


def _short(block):
    keys = {"tool_use": "id", "tool_result": "tool_use_id"}
    if block["type"] == "text":
        return block["text"]
    return (block["type"], block.get(keys.get(block["type"], "")))


def test_the_smallest_request_has_only_what_must_be_there():
    body, dropped = encode()

    assert body == {
        "model": "claude-opus-5",
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    }
    assert dropped == ()


@pytest.mark.parametrize(
    ("model", "limit"), [("claude-3-opus-20240229", 4096), ("claude-3-5-sonnet-latest", 8192)]
)
def test_the_default_limit_fits_the_model(model, limit):
    body, _ = encode(model=model)

    assert body["max_tokens"] == limit


def test_turns_of_one_role_are_merged():
    turns = sent(turn(USER, "a"), turn(USER, "b"), turn(ASSISTANT, "c"), turn(ASSISTANT, "d"))

    assert turns == [("user", ["a", "b"]), ("assistant", ["c", "d"])]


def test_results_come_first_and_directly_after_their_calls():
    turns = sent(
        turn(USER, "a"),
        turn(ASSISTANT, call("1"), call("2")),
        turn(USER, "aside"),
        turn(USER, result("1")),
        turn(USER, result("2")),
    )

    assert turns[2] == ("user", [("tool_result", "1"), ("tool_result", "2"), "aside"])


def test_empty_texts_and_turns_are_left_out():
    turns = sent(
        turn(USER, "a", ""), turn(ASSISTANT, ""), turn(USER, "b"), turn(ASSISTANT, "c"), turn(USER)
    )

    assert turns == [("user", ["a", "b"]), ("assistant", ["c"])]


def test_a_prefill_loses_its_trailing_white_space():
    assert sent(turn(USER, "a"), turn(ASSISTANT, "b \n"))[-1] == ("assistant", ["b"])
    assert sent(turn(USER, "a"), turn(ASSISTANT, " \n")) == [("user", ["a"])]


def test_a_system_turn_follows_the_run_of_users_it_stands_in():
    turns = sent(
        turn(USER, "a"), turn(SYSTEM, "s"), turn(USER, "b"), turn(ASSISTANT, "c"), turn(USER, "d")
    )

    assert turns == [
        ("user", ["a", "b"]), ("system", ["s"]), ("assistant", ["c"]), ("user", ["d"]),
    ]  # fmt: skip


def test_a_system_turn_never_parts_a_call_from_its_result():
    turns = sent(
        turn(USER, "a"), turn(ASSISTANT, call("1")), turn(SYSTEM, "s"), turn(USER, result("1"))
    )

    assert turns[2:] == [("user", [("tool_result", "1")]), ("system", ["s"])]


def test_a_system_turn_no_user_stands_beside_becomes_the_users():
    turns = sent(turn(USER, "a"), turn(ASSISTANT, "b"), turn(SYSTEM, "s"), turn(ASSISTANT, "c"))

    assert turns[2] == ("user", ["<system>\ns\n</system>"])


@pytest.mark.parametrize("model", ["claude-opus-4-5", "claude-sonnet-5", "deepseek-chat"])
def test_models_without_system_turns_get_tagged_text_in_its_place(model):
    turns = sent(turn(USER, "a"), turn(SYSTEM, "s"), turn(USER, "b"), model=model)

    assert turns == [("user", ["a", "<system>\ns\n</system>", "b"])]


def test_instructions_alone_are_sent_as_the_user():
    request = neutral.Request(model="m", messages=(), system=(text("Do it."),))

    body = msgspec.json.decode(ANTHROPIC_MESSAGES.encode_request(request, "claude-opus-5").body)

    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Do it."}]}]
    assert "system" not in body


def test_nothing_to_say_is_an_error():
    with pytest.raises(InvalidRequestError, match="messages: at least one message"):
        encode(turn(USER, ""))


def test_ids_are_made_acceptable_the_same_way_on_both_sides():
    body, _ = encode(
        turn(USER, "a"),
        turn(ASSISTANT, call("call.1:x"), call("call_1_x"), call("")),
        turn(USER, result("call_1_x"), result("call.1:x"), result("")),
    )

    ids = [block["id"] for block in body["messages"][1]["content"]]
    answered = [block["tool_use_id"] for block in body["messages"][2]["content"]]
    assert answered == [ids[1], ids[0], ids[2]]
    assert len(set(ids)) == 3
    assert all(set(id_) <= set("abcdefghijklmnopqrstuvwxyz_0123456789") and id_ for id_ in ids)


@pytest.mark.parametrize(("arguments", "wire"), [("", {}), (" ", {}), ('{"a": 1e2}', {"a": 100})])
def test_arguments_become_an_object(arguments, wire):
    body, _ = encode(turn(USER, "a"), turn(ASSISTANT, call("1", arguments)))

    assert body["messages"][1]["content"][0]["input"] == wire


@pytest.mark.parametrize("arguments", ["{", "[1]", '"x"', "nope"])
def test_arguments_that_are_no_object_are_named(arguments):
    with pytest.raises(InvalidRequestError) as refusal:
        encode(turn(USER, "a"), turn(ASSISTANT, call("1", arguments, path="messages[1].x")))

    assert refusal.value.param == "messages[1].x"


def test_thinking_is_replayed_signed_and_left_out_unsigned():
    body, dropped = encode(
        turn(USER, "a"),
        turn(
            ASSISTANT,
            neutral.Thinking(text="t", signature="s"),
            neutral.RedactedThinking(data="d"),
            neutral.Thinking(text="u", path="p.u"),
            neutral.Refusal(text="no"),
        ),
        turn(USER, "b"),
    )

    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "t", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "text", "text": "no"},
    ]
    assert dropped == ("p.u",)


def test_pictures_and_documents_are_written_by_source_with_marks():
    hour = neutral.CacheMark(ttl="1h")
    body, _ = encode(
        turn(
            USER,
            neutral.Image(source=sources.UrlSource(url="https://x/y.png"), detail="low"),
            neutral.Image(source=PNG, cache=hour),
            neutral.Image(source=sources.FileSource("f", Family.ANTHROPIC)),
            neutral.Document(
                source=sources.DataSource(media_type="application/pdf", data="AA=="),
                name="N", context="C", citations=True, cache=neutral.CacheMark(),
            ),
            neutral.Document(source=sources.TextSource(text="w")),
            neutral.Document(
                source=sources.DataSource(
                    media_type="text/markdown", data=base64.b64encode("# é".encode()).decode()
                )
            ),
        )
    )  # fmt: skip

    assert body["messages"][0]["content"] == [
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "AA=="},
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        },
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="},
            "title": "N",
            "context": "C",
            "citations": {"enabled": True},
            "cache_control": {"type": "ephemeral"},
        },
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "w"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "# é"}},
    ]


def test_a_failed_result_with_a_picture_keeps_both():
    picture = neutral.Image(source=sources.UrlSource(url="https://x/y.png"))
    both = neutral.ToolResult(call_id="1", content=(text("no"), picture), is_error=True)

    body, _ = encode(turn(USER, "a"), turn(ASSISTANT, call("1")), turn(USER, both))

    block = body["messages"][2]["content"][0]
    assert block["is_error"] is True
    assert [inner["type"] for inner in block["content"]] == ["text", "image"]


DOC = sources.DataSource(media_type="application/zip", data="AA==")
UNSAYABLE = [
    turn(USER, neutral.Audio(data="x", format="wav", path="here")),
    turn(USER, neutral.Foreign(kind="search_result", raw=Raw(b"{}"), path="here")),
    turn(USER, neutral.Document(source=DOC, path="here")),
    turn(ASSISTANT, neutral.Image(source=sources.UrlSource(url="u"), path="here")),
    turn(ASSISTANT, neutral.Audio(data="x", format="wav", path="here")),
    turn(ASSISTANT, neutral.Foreign(kind="custom_tool_call", raw=Raw(b"{}"), path="here")),
    turn(SYSTEM, neutral.Image(source=sources.UrlSource(url="u"), path="here")),
]


@pytest.mark.parametrize("message", UNSAYABLE, ids=range(len(UNSAYABLE)))
def test_what_cannot_be_said_is_refused_by_path(message):
    with pytest.raises(UnsupportedContentError) as refusal:
        encode(turn(USER, "a"), message)

    assert refusal.value.param == "here"


def test_a_text_document_that_is_no_text_is_refused():
    source = sources.DataSource(media_type="text/plain", data="/////w==")

    with pytest.raises(InvalidRequestError, match="here: the document of type text/plain"):
        encode(turn(USER, neutral.Document(source=source, path="here")))


def test_a_vendors_own_tool_is_refused():
    tool = neutral.BuiltinTool(kind="custom", raw=Raw(b"{}"), path="tools[0]")

    with pytest.raises(UnsupportedContentError) as refusal:
        encode(tools=(tool,))

    assert refusal.value.param == "tools[0]"


def test_several_choices_are_refused_and_one_is_not():
    with pytest.raises(UnsupportedContentError) as refusal:
        encode(sampling=neutral.Sampling(n=2))

    assert refusal.value.param == "n"
    assert encode(sampling=neutral.Sampling(n=1))[1] == ()


def test_tools_keep_their_schema_untouched():
    schema = b'{"type":"object","properties":{"z":{},"a":{"minimum":1.50}}}'
    request = neutral.Request(
        model="m",
        messages=(turn(USER, "a"),),
        tools=(
            neutral.FunctionTool(
                name="f", description="d", parameters=Raw(schema), strict=True,
                cache=neutral.CacheMark(ttl="1h"),
            ),
            neutral.FunctionTool(name="g", strict=False),
            neutral.FunctionTool(name="h", parameters=Raw(b'{"properties":{}}')),
        ),
    )  # fmt: skip

    raw = ANTHROPIC_MESSAGES.encode_request(request, "claude-opus-5").body

    assert schema in raw
    assert msgspec.json.decode(raw)["tools"] == [
        {
            "name": "f",
            "description": "d",
            "input_schema": msgspec.json.decode(schema),
            "strict": True,
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        },
        {"name": "g", "input_schema": {"type": "object", "properties": {}}},
        {"name": "h", "input_schema": {"type": "object", "properties": {}}},
    ]


@pytest.mark.parametrize(
    ("choice", "parallel", "wire"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (neutral.ToolChoice(mode="required"), None, {"type": "any"}),
        (
            neutral.ToolChoice(mode="named", name="f"),
            False,
            {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        ),
        (neutral.ToolChoice(mode="none"), False, {"type": "none"}),
    ],
)
def test_tool_choice_carries_parallel_use(choice, parallel, wire):
    tool = neutral.FunctionTool(name="f")

    body, _ = encode(tools=(tool,), tool_choice=choice, parallel_tool_calls=parallel)

    assert body.get("tool_choice") == wire


def test_a_tool_choice_without_tools_is_not_sent():
    body, _ = encode(tool_choice=neutral.ToolChoice(mode="auto"))

    assert "tool_choice" not in body


def sampled(model="claude-sonnet-4-0", **knobs):
    body, dropped = encode(model=model, sampling=neutral.Sampling(**knobs))
    return {k: v for k, v in body.items() if k in ("temperature", "top_p", "top_k")}, dropped


def test_sampling_is_sent_where_the_model_has_it():
    assert sampled(temperature=0.5, top_p=0.5, top_k=3) == (
        {"temperature": 0.5, "top_p": 0.5, "top_k": 3},
        (),
    )


def test_a_temperature_above_one_is_sent_as_one_and_named():
    assert sampled(temperature=1.7) == ({"temperature": 1}, ("temperature",))


def test_newer_models_get_one_sampler():
    assert sampled("claude-sonnet-4-5", temperature=0.5, top_p=0.5) == (
        {"temperature": 0.5},
        ("top_p",),
    )


@pytest.mark.parametrize("model", ["claude-opus-4-7", "claude-opus-5", "claude-mythos-preview"])
def test_models_without_sampling_get_none_and_defaults_are_not_missed(model):
    assert sampled(model, temperature=0.5, top_p=0.9, top_k=3) == (
        {},
        ("temperature", "top_p", "top_k"),
    )
    assert sampled(model, temperature=1.0, top_p=1.0) == ({}, ())


def test_knobs_the_api_lacks_are_named_when_they_would_have_mattered():
    knobs = neutral.Sampling(
        seed=1, presence_penalty=0.5, frequency_penalty=0.5, logprobs=True, top_logprobs=2,
        logit_bias=Raw(b"{}"), stop=("a", "\n"),
    )  # fmt: skip

    body, dropped = encode(sampling=knobs)

    assert body["stop_sequences"] == ["a"]
    assert dropped == (
        "stop", "seed", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs",
        "logit_bias",
    )  # fmt: skip
    assert encode(sampling=neutral.Sampling(presence_penalty=0, logprobs=False))[1] == ()


def test_foreign_fields_are_named_and_never_sent():
    body, dropped = encode(extra={"store": Raw(b"true"), "prediction": Raw(b"{}")})

    assert dropped == ("store", "prediction")
    assert "store" not in body


def test_a_participants_name_is_named_and_left_out():
    message = neutral.Message(role=USER, parts=(text("a"),), name="Bob", path="messages[0]")

    assert encode(message)[1] == ("messages[0].name",)


@pytest.mark.parametrize(
    ("tier", "wire", "dropped"),
    [
        ("auto", "auto", ()),
        ("default", "standard_only", ()),
        ("flex", None, ("service_tier",)),
        (None, None, ()),
    ],
)
def test_tiers_are_translated_or_named(tier, wire, dropped):
    body, left_out = encode(service_tier=tier)

    assert (body.get("service_tier"), left_out) == (wire, dropped)


def test_user_stream_and_stop_have_their_places():
    body, _ = encode(user="u", stream=True, sampling=neutral.Sampling(stop=("x",), max_tokens=5))

    assert body["metadata"] == {"user_id": "u"}
    assert body["stream"] is True
    assert body["stop_sequences"] == ["x"]
    assert body["max_tokens"] == 5


def test_a_json_schema_is_a_native_format_with_every_object_closed():
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": ["object", "null"], "properties": {}},
            "b": {"type": "array", "items": {"type": "object", "additionalProperties": True}},
            "c": {"const": {"type": "object"}},
        },
        "$defs": {"d": {"anyOf": [{"type": "object"}]}},
    }
    output = neutral.JsonSchema(schema=Raw(msgspec.json.encode(schema)), name="n", strict=True)

    body, dropped = encode(output=output)

    form = body["output_config"]["format"]
    assert form["type"] == "json_schema"
    got = form["schema"]
    assert got["additionalProperties"] is False
    assert got["properties"]["a"]["additionalProperties"] is False
    assert got["properties"]["b"]["items"]["additionalProperties"] is True
    assert got["properties"]["c"] == {"const": {"type": "object"}}
    assert got["$defs"]["d"]["anyOf"][0] == {"type": "object", "additionalProperties": False}
    assert dropped == ()


def test_a_closed_schema_travels_byte_for_byte():
    raw = b'{ "type":"object","additionalProperties": false,"properties":{} }'
    request = neutral.Request(
        model="m", messages=(turn(USER, "a"),), output=neutral.JsonSchema(schema=Raw(raw))
    )

    assert raw in ANTHROPIC_MESSAGES.encode_request(request, "claude-opus-5").body


@pytest.mark.parametrize("raw", [b'{"const":1e999}', b'{"title":"\xc3("}', b'{"not":"\\ud800"}'])
def test_a_schema_that_cannot_be_read_is_left_for_the_vendor_to_refuse(raw):
    output = neutral.JsonSchema(schema=Raw(raw))
    request = neutral.Request(model="m", messages=(turn(USER, "a"),), output=output)

    assert raw in ANTHROPIC_MESSAGES.encode_request(request, "claude-opus-5").body


def test_models_without_structured_outputs_are_asked_in_words():
    output = neutral.JsonSchema(schema=Raw(b'{"type":"object"}'), strict=True)

    body, dropped = encode(model="claude-3-opus-20240229", output=output, system=(text("S"),))

    assert [block["text"] for block in body["system"]] == ["S", JSON_FITTING + '{"type":"object"}']
    assert dropped == ("response_format.json_schema.strict",)


def test_some_json_object_is_asked_for_in_words():
    body, _ = encode(output=neutral.JsonObject())

    assert body["system"] == [{"type": "text", "text": JSON_ONLY}]
    assert "output_config" not in body
