"""The law of requests: what the dialect can say survives being written and read again."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from meterway.kit import json
from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.anthropic_messages import ANTHROPIC_MESSAGES
from meterway.protocols.dialects import Family

words = st.text(min_size=1, max_size=12).map(lambda text: f"{text}.")
ids = st.text("abcdefgh_-0123456789", min_size=1, max_size=8)
marks = st.none() | st.sampled_from([neutral.CacheMark(ttl="5m"), neutral.CacheMark(ttl="1h")])
objects = st.dictionaries(words, st.integers(-9, 9) | words | st.none(), max_size=3)
images = st.builds(
    neutral.Image,
    source=st.one_of(
        st.builds(sources.UrlSource, url=words),
        st.builds(sources.DataSource, media_type=st.just("image/png"), data=words),
        st.builds(sources.FileSource, file_id=words, family=st.just(Family.ANTHROPIC)),
    ),
    cache=marks,
)
documents = st.builds(
    neutral.Document,
    source=st.one_of(
        st.builds(sources.UrlSource, url=words),
        st.builds(sources.DataSource, media_type=st.just("application/pdf"), data=words),
        st.builds(sources.TextSource, text=words),
        st.builds(sources.FileSource, file_id=words, family=st.just(Family.ANTHROPIC)),
    ),
    name=st.none() | words,
    context=st.none() | words,
    citations=st.booleans(),
    cache=marks,
)
texts = st.builds(neutral.Text, text=words, cache=marks)
results = st.builds(
    neutral.ToolResult,
    call_id=ids,
    content=st.lists(texts | images | documents, max_size=2).map(tuple),
    is_error=st.booleans(),
    cache=marks,
)
calls = st.builds(
    neutral.ToolCall,
    id=ids,
    name=words,
    arguments=objects.map(lambda value: msgspec.json.encode(value).decode()),
    cache=marks,
)
thoughts = st.one_of(
    st.builds(neutral.Thinking, text=st.text(max_size=9), signature=words),
    st.builds(neutral.RedactedThinking, data=words),
)
users = st.tuples(
    st.lists(results, max_size=2), st.lists(texts | images | documents, min_size=1, max_size=3)
).map(lambda both: neutral.Message(role=neutral.Role.USER, parts=(*both[0], *both[1])))
assistants = st.lists(thoughts | texts | calls, min_size=1, max_size=4).map(
    lambda parts: neutral.Message(role=neutral.Role.ASSISTANT, parts=tuple(parts))
)
systems = st.lists(texts, min_size=1, max_size=2).map(
    lambda parts: neutral.Message(role=neutral.Role.SYSTEM, parts=tuple(parts))
)


@st.composite
def conversations(draw) -> tuple[neutral.Message, ...]:
    """User turns, each perhaps followed by a system turn, answered by the assistant; user last."""
    turns = []
    for _ in range(draw(st.integers(0, 3))):
        turns.append(draw(users))
        if draw(st.booleans()):
            turns.append(draw(systems))
        turns.append(draw(assistants))
    return (*turns, draw(users))


tools = st.builds(
    neutral.FunctionTool,
    name=words,
    description=st.none() | words,
    parameters=objects.map(lambda extra: json.raw({"type": "object", **extra, "x": 1})),
    strict=st.sampled_from([None, True]),
    cache=marks,
)
requests = st.builds(
    neutral.Request,
    model=st.just("claude-opus-5"),
    messages=conversations(),
    system=st.lists(texts, max_size=2).map(tuple),
    tools=st.lists(tools, min_size=1, max_size=2).map(tuple),
    tool_choice=st.none()
    | st.sampled_from(
        [
            neutral.ToolChoice(mode="auto"),
            neutral.ToolChoice(mode="required"),
            neutral.ToolChoice(mode="none"),
            neutral.ToolChoice(mode="named", name="f"),
        ]
    ),
    sampling=st.builds(
        neutral.Sampling,
        max_tokens=st.integers(1, 10**6),
        stop=st.lists(words, max_size=2).map(tuple),
    ),
    output=st.none()
    | st.just(
        neutral.JsonSchema(schema=msgspec.Raw(b'{"type":"object","additionalProperties":false}'))
    ),
    service_tier=st.sampled_from([None, "auto", "default"]),
    user=st.none() | words,
    stream=st.booleans(),
    include_usage=st.just(True),
)


def without_paths(value):
    """A request as plain data, JSON paths blanked, raw JSON as its value."""
    if isinstance(value, msgspec.Raw):
        return msgspec.json.decode(value)
    if isinstance(value, msgspec.Struct):
        plain = {
            name: without_paths(getattr(value, name))
            for name in value.__struct_fields__
            if name != "path"
        }
        return {"kind": type(value).__name__, **plain}
    if isinstance(value, tuple):
        return [without_paths(one) for one in value]
    if isinstance(value, dict):
        return {name: without_paths(one) for name, one in value.items()}
    return value


@given(requests)
def test_what_the_dialect_can_say_survives_a_round_trip(request):
    encoded = ANTHROPIC_MESSAGES.encode_request(request, "claude-opus-5")

    back = ANTHROPIC_MESSAGES.decode_request(json.decode_top(encoded.body))

    assert encoded.dropped == ()
    assert without_paths(back) == without_paths(request)
