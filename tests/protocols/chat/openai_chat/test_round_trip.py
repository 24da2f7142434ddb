"""A law: what the dialect can say, written and read again, is what it was."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from meterway.kit import json
from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.openai_chat import OPENAI_CHAT
from meterway.protocols.dialects import Family

MODEL = "gpt-5"  # knows refusals, efforts and the newer limit
USER, ASSISTANT, SYSTEM = neutral.Role.USER, neutral.Role.ASSISTANT, neutral.Role.SYSTEM

words = st.text(min_size=1, max_size=12)
names = st.text("abcdefgh_", min_size=1, max_size=8)
base64s = st.text("ABCDabcd0123", min_size=4, max_size=12)
texts = st.builds(neutral.Text, text=words)
images = st.builds(
    neutral.Image,
    source=st.builds(sources.UrlSource, names.map(lambda name: f"https://example.com/{name}"))
    | st.builds(sources.DataSource, st.just("image/png"), base64s),
    detail=st.none() | st.sampled_from(["low", "high", "auto"]),
)
audios = st.builds(neutral.Audio, data=base64s, format=st.sampled_from(["wav", "mp3"]))
files = st.builds(
    neutral.Document,
    source=st.builds(sources.FileSource, names, st.just(Family.OPENAI)),
    name=st.none(),
) | st.builds(
    neutral.Document,
    source=st.builds(sources.DataSource, st.just("application/pdf"), base64s),
    name=names,
)


def with_media(parts: list[Any]) -> tuple[Any, ...]:
    """Texts alone would be written as one string: let something stand among several."""
    only_texts = all(isinstance(part, neutral.Text) for part in parts)
    return tuple(parts[:1] if only_texts else parts)


contents = st.lists(texts | images | audios | files, min_size=1, max_size=4).map(with_media)
results = st.builds(
    neutral.ToolResult,
    call_id=words,
    content=texts.map(lambda part: (part,)),
    is_error=st.just(False),
)
calls = st.builds(neutral.ToolCall, id=words, name=names, arguments=words)


def user_turn(
    given_results: list[Any], parts: tuple[Any, ...], name: str | None
) -> neutral.Message:
    name = None if given_results else name
    return neutral.Message(role=USER, parts=(*given_results, *parts), name=name)


def assistant_turn(
    said: list[Any], refused: list[Any], called: list[Any], name: str | None
) -> neutral.Message:
    parts = (*said, *refused, *called)
    return neutral.Message(role=ASSISTANT, parts=parts, name=name)


users = st.builds(user_turn, st.lists(results, max_size=2), contents, st.none() | names)
assistants = st.builds(
    assistant_turn,
    st.lists(texts, max_size=1),
    st.lists(st.builds(neutral.Refusal, text=words), max_size=1),
    st.lists(calls, min_size=1, max_size=3),
    st.none() | names,
)
laters = st.builds(neutral.Message, role=st.just(SYSTEM), parts=texts.map(lambda part: (part,)))
conversations = st.lists(st.tuples(users, assistants), min_size=1, max_size=3).map(
    lambda pairs: tuple(message for pair in pairs for message in pair)
)
schemas = st.just(msgspec.Raw(b'{"type":"object","properties":{"a":{"const":1.50}}}'))
tools = st.builds(
    neutral.FunctionTool,
    name=names,
    description=st.none() | words,
    parameters=st.none() | schemas,
    strict=st.none() | st.booleans(),
)
samplings = st.builds(
    neutral.Sampling,
    max_tokens=st.none() | st.integers(1, 2**31),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    stop=st.lists(words, max_size=3).map(tuple),
    seed=st.none() | st.integers(-(2**63), 2**63 - 1),
    presence_penalty=st.none() | st.floats(-2, 2),
    frequency_penalty=st.none() | st.floats(-2, 2),
    logprobs=st.none() | st.booleans(),
    top_logprobs=st.none() | st.integers(0, 20),
    logit_bias=st.none() | st.just(msgspec.Raw(b'{"1":-100}')),
    n=st.none() | st.integers(1, 8),
)
choices = st.builds(neutral.ToolChoice, mode=st.sampled_from(["auto", "none", "required"])) | (
    st.builds(neutral.ToolChoice, mode=st.just("named"), name=names)
)
efforts = st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max"])


def request_of(
    kit: tuple[neutral.Tool, ...], choice: neutral.ToolChoice | None, later: Any, **fields: Any
) -> neutral.Request:
    messages = fields.pop("messages")
    return neutral.Request(
        model=MODEL,
        messages=(*messages, *later),
        tools=kit,
        tool_choice=choice if kit else None,
        parallel_tool_calls=False if kit else None,
        **fields,
    )


requests = st.builds(
    request_of,
    st.lists(tools, max_size=3).map(tuple),
    st.none() | choices,
    st.lists(laters, max_size=1),
    messages=conversations,
    system=st.lists(texts, max_size=1).map(tuple),
    sampling=samplings,
    reasoning=st.none() | st.builds(neutral.Reasoning, effort=efforts),
    output=st.none()
    | st.just(neutral.JsonObject())
    | st.builds(neutral.JsonSchema, schema=schemas, name=names, strict=st.none() | st.booleans()),
    service_tier=st.none() | st.sampled_from(["auto", "default", "flex", "priority"]),
    user=st.none() | words,
)


def bare(value: Any) -> Any:
    """Return a request without the paths, which only a client's own bytes have."""
    if isinstance(value, tuple):
        return tuple(bare(item) for item in value)
    if isinstance(value, msgspec.Struct):
        fields = {name: bare(getattr(value, name)) for name in value.__struct_fields__}
        if "path" in fields:
            fields["path"] = ""
        return type(value)(**fields)
    return value


@given(requests)
def test_a_request_reads_back_the_same(request):
    encoded = OPENAI_CHAT.encode_request(request, MODEL)

    read = OPENAI_CHAT.decode_request(json.decode_top(encoded.body))

    assert bare(read) == request
    assert encoded.dropped == ()


@given(requests)
def test_a_client_reading_its_own_request_again_sends_the_same_bytes(request):
    first = OPENAI_CHAT.encode_request(request, MODEL).body

    again = OPENAI_CHAT.encode_request(OPENAI_CHAT.decode_request(json.decode_top(first)), MODEL)

    assert again.body == first
