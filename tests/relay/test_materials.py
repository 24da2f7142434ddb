"""What calls name by URL reaches upstreams that take no URL, once, counted, and only there."""

import asyncio
import base64
import json

import pytest

from meterway.kit.errors import UnavailableError
from meterway.kit.fetching import Fetched, FetchError, Limits
from meterway.protocols.dialects import Dialect
from meterway.relay.materials import AT_ONCE, MOST, PAPERS, PICTURES, Materials, TooManyUrlsError
from meterway.relay.record import Outcome
from meterway.routing.health import Breaker
from meterway.upstreams.errors import ConnectError
from meterway.upstreams.types import Provider
from tests.factories.relays import ANTHROPIC, OPENAI, Relay, channel
from tests.fakes.internet import CountingRoom
from tests.fakes.transport import whole

OAI, ANT = Dialect.OPENAI_CHAT, Dialect.ANTHROPIC_MESSAGES
DEAF = Provider(
    name="deaf-row",
    title="D",
    source="x",
    speaks={OAI: "/chat/completions", ANT: "/v1/messages"},
    fetches_urls=False,
)
URL, OTHER = "https://example.org/a.png", "https://example.org/b.pdf"
PNG, PDF = b"\x89PNG\r\n\x1a\n", b"%PDF-1.7"
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "hello"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}


def b64(body: bytes) -> str:
    return base64.b64encode(body).decode()


class FakeFetcher:
    """Serves `pages`; what is no bytes is raised. `asked` keeps the URLs, `limits` the last."""

    def __init__(self, pages) -> None:
        self.pages = pages
        self.asked: list[str] = []
        self.limits: dict[str, Limits] = {}
        self.running = self.most = 0
        self.gate: asyncio.Event | None = None

    async def fetch(self, url, *, limits, room=None):
        self.asked.append(url)
        self.limits[url] = limits
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await (self.gate.wait() if self.gate else asyncio.sleep(0))
        finally:
            self.running -= 1
        page = self.pages.get(url, PNG)
        if not isinstance(page, bytes):
            raise page
        room.take(len(page))
        kind = "application/pdf" if page.startswith(b"%PDF") else "image/png"
        return Fetched("text/plain" if page == b"words" else kind, page)


class Fetching(Relay):
    """A relay that brings in what a fake fetcher serves."""

    def __init__(self, *answers, pages=None, total=10_000, **facts) -> None:
        self.fetcher = FakeFetcher(pages or {URL: PNG, OTHER: PDF})
        self.room = CountingRoom()
        materials = Materials(
            self.fetcher,  # type: ignore[arg-type]  # has the one method that is used
            self.room,
            size=1000,
            seconds=2,
            total=total,
        )
        super().__init__(*answers, materials=materials, **facts)

    def sent(self, number: int = 0):
        return json.loads(self.transport.sent[number].body)["messages"][0]["content"]


def picture(url: str = URL):
    return {"type": "image_url", "image_url": {"url": url}}


def asked(*parts, **more):
    return {"model": "m", "messages": [{"role": "user", "content": list(parts)}], **more}


def ant_asked(*parts):
    return asked(*parts, max_tokens=9)


def paper(url: str = OTHER):
    return {"type": "document", "source": {"type": "url", "url": url}}


async def test_a_picture_reaches_an_upstream_that_fetches_nothing_as_data():
    relay = Fetching(whole(COMPLETION), channels=[channel(1, DEAF)])

    await relay.run(asked({"type": "text", "text": "what is it?"}, picture()))

    assert relay.sent() == [
        {"type": "text", "text": "what is it?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{b64(PNG)}"}},
    ]
    assert (relay.fetcher.asked, relay.room.held) == ([URL], 0)


async def test_a_document_reaches_a_dialect_without_words_for_its_url():
    relay = Fetching(whole(COMPLETION))

    await relay.run(ant_asked(paper()), ANT)

    assert relay.sent() == [
        {
            "type": "file",
            "file": {
                "filename": "document.pdf",
                "file_data": f"data:application/pdf;base64,{b64(PDF)}",
            },
        }
    ]


async def test_a_picture_by_url_is_left_to_a_vendor_that_fetches():
    relay = Fetching(whole(COMPLETION))
    image = {"type": "image", "source": {"type": "url", "url": URL}}

    await relay.run(ant_asked(image, paper()), ANT)

    assert relay.sent()[0] == {"type": "image_url", "image_url": {"url": URL}}
    assert relay.fetcher.asked == [OTHER]


async def test_what_passes_through_to_a_vendor_that_fetches_is_left_alone():
    odd = asked(picture(), {"type": "file", "file": {"file_data": OTHER}}, odd={"x": 1})
    relay = Fetching(whole(COMPLETION))

    await relay.run(odd)

    assert json.loads(relay.transport.sent[0].body) == odd
    assert relay.fetcher.asked == []


@pytest.mark.parametrize("text", ["no link", "see https://example.org/a.png"])
async def test_what_names_no_content_by_url_passes_through_untouched(text):
    odd = asked({"type": "text", "text": text, "odd": {"x": 1}})
    relay = Fetching(whole(COMPLETION), channels=[channel(1, DEAF)])

    await relay.run(odd)

    assert json.loads(relay.transport.sent[0].body) == odd
    assert relay.fetcher.asked == []


async def test_pictures_in_the_results_of_tools_are_brought_in():
    image = {"type": "image", "source": {"type": "url", "url": URL}}
    use = {"type": "tool_use", "id": "t1", "name": "look", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [image]}
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [
            {"role": "user", "content": "look"},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [result]},
        ],
    }
    reply = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "a cat"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    relay = Fetching(whole(reply), channels=[channel(1, DEAF)])

    await relay.run(body, ANT)

    sent = json.loads(relay.transport.sent[0].body)["messages"][2]["content"][0]["content"]
    assert sent == [
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": b64(PNG)},
        }
    ]


async def test_a_url_named_twice_is_fetched_once():
    relay = Fetching(whole(COMPLETION), channels=[channel(1, DEAF)])

    await relay.run(asked(picture(), picture()))

    assert relay.fetcher.asked == [URL]
    assert relay.sent()[0] == relay.sent()[1]


async def test_a_url_is_fetched_once_for_all_attempts():
    channels = [channel(1, DEAF), channel(2, DEAF, priority=1)]
    relay = Fetching(ConnectError("x"), whole(COMPLETION), channels=channels)

    await relay.run(asked(picture()))

    assert relay.fetcher.asked == [URL]
    assert relay.transport.sent[0].body == relay.transport.sent[1].body
    assert relay.room.held == 0


async def test_pictures_and_documents_may_be_what_they_are_and_no_more():
    relay = Fetching(whole(COMPLETION), channels=[channel(1, DEAF)])

    await relay.run(asked(picture(), {"type": "file", "file": {"file_data": OTHER}}))

    assert relay.fetcher.limits == {
        URL: Limits(types=PICTURES, size=1000, seconds=2),
        OTHER: Limits(types=PAPERS, size=1000, seconds=2),
    }


async def test_what_cannot_be_fetched_is_the_callers_fault_and_tried_nowhere_else():
    channels = [channel(1, DEAF), channel(2, OPENAI, priority=1)]
    relay = Fetching(
        channels=channels, pages={URL: FetchError("It is gone.")}, breaker=Breaker(threshold=1)
    )

    with pytest.raises(FetchError) as caught:
        await relay.run(asked({"type": "text", "text": "x"}, picture()))

    (record,) = relay.records
    assert (caught.value.status, caught.value.param) == (400, "messages[0].content[1]")
    assert [attempt.error for attempt in record.attempts] == ["url_not_fetched"]
    assert (record.outcome, record.usage, record.price) == (Outcome.FAILED, None, 0)
    assert relay.transport.sent == []
    assert not relay.health.cooling(relay.gate.router.candidates("m", OAI)[0])


async def test_the_first_failure_ends_the_other_fetches():
    relay = Fetching(channels=[channel(1, DEAF)], pages={OTHER: FetchError("It is gone.")})
    slow = asyncio.Event()
    quick = relay.fetcher.fetch

    async def fetch(url, **facts):
        if url == OTHER:
            return await quick(url, **facts)
        try:
            await slow.wait()
        finally:
            relay.fetcher.asked.append("ended")

    relay.fetcher.fetch = fetch  # type: ignore[method-assign]  # one page that never comes

    with pytest.raises(FetchError):
        await relay.run(asked(picture(), picture(OTHER)))

    assert relay.fetcher.asked == [OTHER, "ended"]
    assert relay.room.held == 0


async def test_few_are_fetched_at_once():
    relay = Fetching(whole(COMPLETION), channels=[channel(1, DEAF)])

    await relay.run(asked(*[picture(f"{URL}?{number}") for number in range(MOST)]))

    assert len(relay.fetcher.asked) == MOST
    assert relay.fetcher.most == AT_ONCE


async def test_too_many_are_refused_before_any_is_fetched():
    relay = Fetching(channels=[channel(1, DEAF)])

    with pytest.raises(TooManyUrlsError) as caught:
        await relay.run(asked(*[picture(f"{URL}?{number}") for number in range(MOST + 1)]))

    assert caught.value.param == f"messages[0].content[{MOST}]"
    assert relay.fetcher.asked == []


async def test_all_of_a_call_together_is_bounded_as_it_is_sent_on():
    size = len(b64(PNG))
    relay = Fetching(channels=[channel(1, DEAF)], total=2 * size - 1)

    with pytest.raises(FetchError, match=f"more than {2 * size - 1} bytes in all"):
        await relay.run(asked(picture(), picture(URL + "?2")))

    assert relay.room.held == 0


async def test_what_is_held_for_a_call_counts_as_bytes_in_flight():
    relay = Fetching(whole(COMPLETION), channels=[channel(1, DEAF)])

    await relay.run(asked(picture()))

    assert relay.room.most == len(b64(PNG))


async def test_a_full_worker_refuses_for_now():
    relay = Fetching(channels=[channel(1, DEAF)])

    def full(size):
        raise UnavailableError("full", retry_after=1.0)

    relay.room.take = full  # type: ignore[method-assign]  # a room without room

    with pytest.raises(UnavailableError):
        await relay.run(asked(picture()))


async def test_who_leaves_ends_the_fetching():
    relay = Fetching(channels=[channel(1, DEAF)])
    relay.fetcher.gate = asyncio.Event()
    call = asyncio.ensure_future(relay.run(asked(picture())))
    while not relay.fetcher.running:  # noqa: ASYNC110 - it begins within some turns
        await asyncio.sleep(0)

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert (relay.fetcher.running, relay.room.held) == (0, 0)
    assert relay.transport.sent == []


@pytest.mark.parametrize(("page", "counts"), [(PDF * 50, False), (b"words", True)])
async def test_an_estimate_of_the_input_counts_texts_and_no_pictures(page, counts):
    reply = {name: value for name, value in COMPLETION.items() if name != "usage"}
    relay = Fetching(whole(reply), pages={OTHER: page})

    await relay.run(ant_asked(paper()), ANT)

    body = len(relay.transport.sent[0].body)
    assert relay.records[0].input_bytes == (body if counts else body - len(b64(page)))


async def test_an_estimate_counts_what_this_attempt_sent():
    reply = {name: value for name, value in COMPLETION.items() if name != "usage"}
    channels = [channel(1, DEAF), channel(2, OPENAI, priority=1)]
    relay = Fetching(ConnectError("x"), whole(reply), channels=channels)
    counted = []
    original = relay.transport.send

    async def send(request):
        counted.append(len(request.body))
        return await original(request)

    relay.transport.send = send  # type: ignore[method-assign]  # to look on the way

    await relay.run(asked(picture(), picture()))

    assert counted[0] > counted[1]
    assert relay.records[0].input_bytes == counted[1]


async def test_without_materials_a_document_by_url_goes_where_it_can_be_said():
    channels = [channel(1, OPENAI), channel(2, ANTHROPIC, priority=1)]
    reply = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
             "content": [], "stop_reason": "end_turn",
             "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip
    relay = Relay(whole(reply), channels=channels)

    await relay.run(ant_asked(paper()), ANT)

    assert [attempt.error for attempt in relay.records[0].attempts] == ["unsupported_content", None]
