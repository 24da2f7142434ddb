"""Laws: what was written and read again is what it was."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from meterway.kit import json
from meterway.protocols.chat import neutral, sources
from meterway.protocols.chat.collect import collect, events_of
from meterway.protocols.chat.envelopes import Envelope, seal, unseal
from meterway.protocols.chat.openai_responses import OPENAI_RESPONSES, ResponsesTurn, frame_of
from meterway.protocols.chat.openai_responses.names import ToolNames
from meterway.protocols.chat.openai_responses.wire import Tool
from meterway.protocols.dialects import Dialect, Family
from meterway.protocols.usage import Usage
from tests.fakes.clock import FakeClock

USER, ASSISTANT, SYSTEM = neutral.Role.USER, neutral.Role.ASSISTANT, neutral.Role.SYSTEM
words = st.text(min_size=1, max_size=12)
names = st.text("abcdefgh_", min_size=1, max_size=8)
counts = st.integers(0, 999)
own = words.map(lambda text: seal(Envelope(Dialect.OPENAI_RESPONSES, "item", text, "rs_1")))
texts = st.builds(neutral.Text, text=words)
images = st.builds(
    neutral.Image,
    source=st.builds(sources.FileSource, names, st.just(Family.OPENAI))
    | st.builds(sources.DataSource, st.just("image/png"), st.just("AAAA")),
    detail=st.sampled_from(["low", "high", "auto"]),
)
files = st.builds(
    neutral.Document, source=st.builds(sources.FileSource, names, st.just(Family.OPENAI))
)
calls = st.builds(neutral.ToolCall, id=words, name=names, arguments=words)
thoughts = st.builds(neutral.Thinking, text=words, signature=own) | st.builds(
    neutral.RedactedThinking, data=own
)
results = st.builds(
    neutral.ToolResult,
    call_id=words,
    content=st.lists(texts | images | files, min_size=1, max_size=3).map(tuple),
)
refusals = st.builds(neutral.Refusal, text=words)


def turn(role: neutral.Role, parts: Any) -> st.SearchStrategy[neutral.Message]:
    return st.builds(neutral.Message, role=st.just(role), parts=parts)


asked = turn(USER, st.lists(texts | images | files, min_size=1, max_size=3).map(tuple))
answered = turn(
    USER,
    st.tuples(st.lists(results, min_size=1, max_size=2), st.lists(texts | images, max_size=2)).map(
        lambda both: (*both[0], *both[1])
    ),
)
said = turn(
    ASSISTANT, st.lists(texts | refusals | calls | thoughts, min_size=1, max_size=4).map(tuple)
)
ruled = turn(SYSTEM, st.tuples(texts))
talks = st.lists(
    st.tuples(asked | answered, said, st.lists(ruled, max_size=1)), min_size=1, max_size=3
).map(
    lambda rounds: tuple(one for first, second, rules in rounds for one in (first, second, *rules))
)
usages = st.builds(
    Usage, input=counts, cache_read=counts, cache_write_5m=counts, output=counts, reasoning=counts
)


def pathless(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(pathless(one) for one in value)
    if not isinstance(value, neutral.Part | neutral.Message):
        return value
    fields = {
        name: pathless(getattr(value, name))
        for name in value.__struct_fields__
        if name in {"parts", "content"}
    }
    return msgspec.structs.replace(value, path="", **fields)


@given(talks)
def test_a_request_written_for_an_upstream_is_read_as_it_was(messages):
    request = neutral.Request(model="m", messages=messages)

    body = json.decode_top(OPENAI_RESPONSES.encode_request(request, "m").body)

    assert pathless(OPENAI_RESPONSES.decode_request(body).messages) == pathless(messages)


@given(st.lists(texts | refusals | calls | thoughts, max_size=5), usages)
def test_a_reply_told_to_a_client_is_read_as_it_was_whole_and_streamed(parts, usage):
    kinds = {type(part) for part in parts}
    stop = neutral.StopReason.END
    if neutral.ToolCall in kinds:
        stop = neutral.StopReason.TOOL_CALLS
    elif neutral.Refusal in kinds:
        stop = neutral.StopReason.REFUSAL
    choice = neutral.Choice(parts=tuple(parts), stop=stop)
    reply = neutral.Reply(
        id="resp_1", model="m", choices=(choice,), usage=usage, created=5, service_tier="default"
    )
    body = {"model": "m", "include": ["reasoning.encrypted_content"]}
    frame = frame_of(json.decode_top(json.encode(body)), "resp_1", 5)

    whole = ResponsesTurn(frame, FakeClock()).encode_reply(reply)
    encoder = ResponsesTurn(frame, FakeClock()).stream_encoder(
        neutral.Request(model="m", messages=())
    )
    stream = b"".join(encoder.encode(event) for event in events_of(reply))
    decoder = OPENAI_RESPONSES.stream_decoder()

    read = OPENAI_RESPONSES.decode_reply(whole)
    assert isinstance(read, neutral.Reply)
    assert unnamed(read) == unnamed(reply)
    assert unnamed(collect(decoder.feed(stream))) == unnamed(reply)


def unnamed(reply: neutral.Reply) -> neutral.Reply:
    """A thought is an item here, with an id of its own: its envelope names that."""
    parts = [bare(part) for part in reply.choices[0].parts]
    choice = msgspec.structs.replace(reply.choices[0], parts=tuple(parts))
    return msgspec.structs.replace(reply, choices=(choice,))


def bare(part: neutral.AssistantPart) -> neutral.AssistantPart:
    if isinstance(part, neutral.Thinking):
        return msgspec.structs.replace(part, signature=inner(part.signature))
    if isinstance(part, neutral.RedactedThinking):
        return msgspec.structs.replace(part, data=inner(part.data))
    return part


def inner(sealed: str | None) -> str:
    envelope = unseal(sealed or "")
    assert envelope is not None
    return envelope.value


@given(st.sampled_from(Dialect), st.sampled_from(["signature", "call"]), st.text(), st.text())
def test_an_envelope_is_opened_as_it_was_sealed(dialect, kind, value, id_):
    envelope = Envelope(dialect, kind, value, id_)

    assert unseal(seal(envelope)) == envelope


spaces = st.none() | st.text("ab_ é.", min_size=1, max_size=70)


@given(st.lists(st.tuples(spaces, st.text("ab_", min_size=1, max_size=70)), max_size=8))
def test_every_tool_has_a_valid_name_of_its_own_that_leads_back(declared):
    tools = []
    for space, name in declared:
        tool = Tool(type="function", name=name[:64] if space is None else name)
        tools.append(tool if space is None else Tool(type="namespace", name=space, tools=[tool]))
    tools_names = ToolNames(tools)

    wanted = {
        (None, tool.name) if tool.tools is None else (tool.name, tool.tools[0].name)
        for tool in tools
    }
    flat = {pair: tools_names.flat(pair[0], pair[1] or "") for pair in wanted}

    assert len(set(flat.values())) == len(flat)
    assert all(0 < len(name) <= 64 for name in flat.values())
    for (space, name), known_as in flat.items():
        back = tools_names.declared(known_as)
        assert (back.namespace, back.name) == (space, name)
