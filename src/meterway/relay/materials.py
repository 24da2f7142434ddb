"""What a call names by URL, brought in for upstreams that cannot be given the URL.

Some dialects have no words for it (a document by URL in OpenAI's chat), and some servers fetch
nothing. What is brought in belongs to the call: each URL is fetched once for all its attempts, and
counts as bytes in flight until `free`.
"""

import asyncio
import re
from base64 import b64encode
from typing import Final

import msgspec

from meterway.kit.errors import InvalidRequestError
from meterway.kit.fetching import Fetcher, FetchError, Limits, Room
from meterway.kit.json import RawObject
from meterway.protocols.chat import neutral
from meterway.protocols.chat.call import Brought, Call, Link
from meterway.protocols.chat.codec import Linkable
from meterway.protocols.chat.sources import DataSource, UrlSource

AT_ONCE: Final = 4
MOST: Final = 20
PICTURES: Final = ("image/png", "image/jpeg", "image/webp", "image/gif")
PAPERS: Final = ("application/pdf", "text/plain", "text/markdown", "text/csv", "text/html")
_LINK = re.compile(rb"https?:", re.IGNORECASE)


class TooManyUrlsError(InvalidRequestError):
    """The request names more URLs than the gateway fetches for one call."""

    code = "too_many_urls"


class Materials:
    """Brings in for one process.

    One URL leads to at most `size` bytes within `seconds`, all of a call to at most `total`;
    `room` counts what is held.
    """

    def __init__(
        self, fetcher: Fetcher, room: Room, *, size: int, seconds: float, total: int
    ) -> None:
        self._fetcher = fetcher
        self._room = room
        self._total = total
        self._limits = {
            neutral.Image: Limits(types=PICTURES, size=size, seconds=seconds),
            neutral.Document: Limits(types=PAPERS, size=size, seconds=seconds),
        }

    async def inlined(self, call: Call, kinds: Linkable, *, passes: bool) -> neutral.Request | None:
        """Return `call`'s request with the content itself where it names `kinds` by URL.

        With `passes` the request could go on undecoded: None then says that it names none. Raises
        `FetchError` and `TooManyUrlsError` with the path at fault, what decoding the request
        raises, and what the room raises.
        """
        if passes and not _may_link(call.body):
            return None
        request = call.request()
        links = _links(request, kinds)
        if not links:
            return None if passes else request
        if len(links) > MOST:
            message = f"At most {MOST} different URLs are fetched for one request; send fewer."
            raise TooManyUrlsError(message, param=list(links.values())[MOST])
        if call.brought is None:
            call.brought = {}
        await self._bring(links, call.brought)
        return _with_content(request, call.brought)

    def free(self, call: Call) -> None:
        """Forget what was brought in for `call`: no other attempt follows."""
        if call.brought is not None:
            self._room.give(_held(call.brought))
            call.brought = None

    async def _bring(self, links: dict[Link, str], brought: Brought) -> None:
        """Fetch what is not there yet; the first failure ends the others."""
        share = _Share(self._room, self._total, _held(brought))
        turn = asyncio.Semaphore(AT_ONCE)
        try:
            async with asyncio.TaskGroup() as group:
                for link, path in links.items():
                    if link not in brought:
                        group.create_task(self._bring_one(link, path, brought, share, turn))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _bring_one(
        self, link: Link, path: str, brought: Brought, share: "_Share", turn: asyncio.Semaphore
    ) -> None:
        kind, url = link
        async with turn:
            try:
                found = await self._fetcher.fetch(url, limits=self._limits[kind], room=share)
            except FetchError as error:
                error.param = path
                raise
        data = b64encode(found.body).decode("ascii")
        share.keep(len(found.body), len(data))
        brought[link] = DataSource(found.content_type, data)


class _Share:
    """One call's share of the room, a `Room` itself: no more than `limit` bytes."""

    def __init__(self, room: Room, limit: int, held: int) -> None:
        self._room = room
        self._limit = limit
        self._held = held

    def take(self, size: int) -> None:
        if self._held + size > self._limit:
            raise FetchError(
                f"What the URLs of this request lead to is more than {self._limit} bytes in all."
            )
        self._room.take(size)
        self._held += size

    def give(self, size: int) -> None:
        self._room.give(size)
        self._held -= size

    def keep(self, came: int, kept: int) -> None:
        """Count what `came` as the bytes that are `kept` of it, or as none where they are too many.

        Raises what `take` raises.
        """
        try:
            self.take(kept - came)
        except BaseException:
            self.give(came)
            raise


def inlined_bytes(request: neutral.Request, brought: Brought) -> int:
    """Return how many bytes of `request` are pictures and PDFs that were brought in."""
    media = {id(source) for source in brought.values() if not source.media_type.startswith("text/")}
    return sum(_size(part, media) for message in request.messages for part in message.parts)


def _size(part: neutral.AnyPart, media: set[int]) -> int:
    if isinstance(part, neutral.ToolResult):
        return sum(_size(one, media) for one in part.content)
    if isinstance(part, neutral.Image | neutral.Document) and isinstance(part.source, DataSource):
        return len(part.source.data) if id(part.source) in media else 0
    return 0


def _held(brought: Brought) -> int:
    return sum(len(source.data) for source in brought.values())


def _may_link(body: RawObject) -> bool:
    return any(_LINK.search(raw) for raw in body.values())


def _links(request: neutral.Request, kinds: Linkable) -> dict[Link, str]:
    """Return what is named by URL, and the path where it stands first."""
    found: dict[Link, str] = {}
    for message in request.messages:
        _gather(message.parts, kinds, found)
    return found


def _gather(parts: tuple[neutral.AnyPart, ...], kinds: Linkable, found: dict[Link, str]) -> None:
    """Add what `parts` name by URL to `found`; nearly all are text, which is told first."""
    for part in parts:
        if isinstance(part, neutral.Text):
            continue
        if isinstance(part, neutral.ToolResult):
            _gather(part.content, kinds, found)
        elif isinstance(part, neutral.Image | neutral.Document):
            kind, source = type(part), part.source
            if kind in kinds and isinstance(source, UrlSource):
                found.setdefault((kind, source.url), part.path)


def _with_content(request: neutral.Request, brought: Brought) -> neutral.Request:
    messages = tuple(
        msgspec.structs.replace(
            message, parts=tuple(_filled(part, brought) for part in message.parts)
        )
        for message in request.messages
    )
    return msgspec.structs.replace(request, messages=messages)


def _filled(part: neutral.AnyPart, brought: Brought) -> neutral.AnyPart:
    if isinstance(part, neutral.ToolResult):
        content = tuple(_filled(one, brought) for one in part.content)
        return msgspec.structs.replace(part, content=content)
    if isinstance(part, neutral.Image | neutral.Document) and isinstance(part.source, UrlSource):
        source = brought.get((type(part), part.source.url))
        return part if source is None else msgspec.structs.replace(part, source=source)
    return part
