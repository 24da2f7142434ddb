"""A law: what the dialect can say, written and read again, is what it was."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from meterway.kit import json
from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.collect import collect, events_of
from meterway.protocols.chat.gemini import GEMINI
from tests.protocols.chat.gemini.signed import by_google

MODEL = "gemini-2.5-flash"
USER, ASSISTANT = neutral.Role.USER, neutral.Role.ASSISTANT

words = st.text(min_size=1, max_size=12)
names = st.text("abcdefgh_", min_size=1, max_size=8)
base64s = st.text("ABCDabcd0123", min_size=4, max_size=12)
objects = st.dictionaries(words, st.integers(-9, 9) | words | st.none(), max_size=3).map(
    lambda value: msgspec.json.encode(value).decode()
)
signatures = base64s.map(by_google)
texts = st.builds(neutral.Text, text=words)
images = st.builds(
    neutral.Image,
    source=st.builds(sources.UrlSource, names.map("https://example.com/{}.png".format))
    | st.builds(sources.DataSource, st.just("image/png"), base64s),
)
audios = st.builds(neutral.Audio, data=base64s, format=st.sampled_from(["wav", "mp3", "flac"]))
documents = st.builds(
    neutral.Document,
    source=st.builds(sources.DataSource, st.just("application/pdf"), base64s),
)
thoughts = st.builds(neutral.Thinking, text=words, signature=signatures) | st.builds(
    neutral.Thinking, text=st.just(""), signature=signatures
)
said = st.lists(texts | thoughts | images, min_size=1, max_size=4)
calls = st.lists(
    st.builds(
        neutral.ToolCall, id=names, name=names, arguments=objects, signature=st.none() | base64s
    ),
    max_size=3,
    unique_by=lambda call: call.id,
)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[neutral.Message, ...]:
    asked = draw(st.lists(texts | images | audios | documents, min_size=1, max_size=4))
    turns = [neutral.Message(role=USER, parts=tuple(asked))]
    for _ in range(draw(st.integers(0, 2))):
        called = draw(calls)
        turns.append(neutral.Message(role=ASSISTANT, parts=(*draw(said), *called)))
        results = [
            neutral.ToolResult(
                call_id=call.id, content=(draw(texts),), is_error=draw(st.booleans())
            )
            for call in called
        ]
        turns.append(neutral.Message(role=USER, parts=(*results, draw(texts))))
    return tuple(turns)


schemas = st.just(msgspec.Raw(b'{"type":"object","properties":{"a":{"const":1.50}}}'))
tools = st.builds(
    neutral.FunctionTool,
    name=names,
    description=st.none() | words,
    parameters=st.none() | schemas,
)
samplings = st.builds(
    neutral.Sampling,
    max_tokens=st.none() | st.integers(1, 2**31),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    top_k=st.none() | st.integers(1, 100),
    stop=st.lists(words, max_size=3).map(tuple),
    seed=st.none() | st.integers(-(2**31), 2**31 - 1),
    presence_penalty=st.none() | st.floats(-2, 2),
    frequency_penalty=st.none() | st.floats(-2, 2),
    logprobs=st.none() | st.booleans(),
    top_logprobs=st.none() | st.integers(0, 20),
    n=st.none() | st.integers(1, 8),
)
choices = st.builds(neutral.ToolChoice, mode=st.sampled_from(["auto", "none", "required"])) | (
    st.builds(neutral.ToolChoice, mode=st.just("named"), name=names)
)
reasonings = st.sampled_from(
    [
        neutral.Reasoning(mode="disabled"),
        neutral.Reasoning(mode="adaptive"),
        neutral.Reasoning(mode="enabled", budget_tokens=512),
    ]
)


def request_of(kit: Any, choice: Any, **fields: Any) -> neutral.Request:
    return neutral.Request(
        model=MODEL,
        tools=kit,
        tool_choice=choice if kit else None,
        include_usage=True,
        **fields,
    )


requests = st.builds(
    request_of,
    st.lists(tools, max_size=3).map(tuple),
    st.none() | choices,
    messages=conversations(),
    system=st.lists(texts, max_size=2).map(tuple),
    sampling=samplings,
    reasoning=st.none() | reasonings,
    output=st.none()
    | st.just(neutral.JsonObject())
    | st.builds(neutral.JsonSchema, schema=schemas),
    service_tier=st.none() | st.sampled_from(["default", "flex", "priority"]),
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
    encoded = GEMINI.encode_request(request, MODEL)

    body = json.decode_top(encoded.body) | {"model": json.raw(MODEL)}
    assert encoded.dropped == ()
    assert bare(GEMINI.decode_request(body)) == bare(request)


@given(requests)
def test_a_request_needs_no_other_spelling(request):
    body = json.decode_top(GEMINI.encode_request(request, MODEL).body)

    assert not any("_" in name for name in body)
    assert GEMINI.sizes(body).text is not None


@st.composite
def replies(draw: st.DrawFn) -> neutral.Reply:
    parts: list[neutral.AssistantPart] = []
    for _ in range(draw(st.integers(0, 2))):
        parts += [draw(st.builds(neutral.Thinking, text=words, signature=signatures)), draw(texts)]
    called = draw(calls)
    stop = neutral.StopReason.TOOL_CALLS if called else neutral.StopReason.END
    choice = neutral.Choice(parts=(*parts, *called), stop=stop)
    return neutral.Reply(id=draw(names), model=draw(names), choices=(choice,))


@given(replies())
def test_a_reply_reads_back_the_same_whole_and_streamed(reply):
    decoder = GEMINI.stream_decoder()
    encoder = GEMINI.stream_encoder(neutral.Request(model="m", messages=()))
    stream = b"".join(encoder.encode(event) for event in events_of(reply))

    assert GEMINI.decode_reply(GEMINI.encode_reply(reply)) == reply
    assert collect(decoder.feed(stream) + decoder.end()) == reply
