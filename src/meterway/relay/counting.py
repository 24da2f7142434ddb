"""Counts a request's input tokens: by the provider's own counter where it has one, else locally.

Counting is free and leaves no trace: no hold, no record, nothing for the circuits of channels.
"""

from collections.abc import Mapping, Sequence

import msgspec
import structlog

from meterway.auth.types import Principal
from meterway.kit.errors import MeterwayError, UnavailableError
from meterway.kit.json import RawObject, encode
from meterway.protocols.dialects import Dialect
from meterway.relay.pipeline import Gate
from meterway.routing.router import ModelNotFoundError
from meterway.tokens.service import TokenCounter
from meterway.tokens.types import Count, TokenSource
from meterway.upstreams.encode import counting
from meterway.upstreams.transport import Transport
from meterway.upstreams.types import Route

_log = structlog.get_logger()
_REPLY_LIMIT = 64 * 1024
# What a provider's counter accepts; it refuses whatever else a client sends along.
_ANTHROPICS = frozenset(
    {
        "messages",
        "model",
        "system",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "cache_control",
        "speed",
    }
)


_MODELS = "models/"
_GOOGLES = frozenset(
    {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "cachedContent"}
)


class _Answer(msgspec.Struct):
    """What Anthropic's counter answers, or Google's."""

    input_tokens: int | None = None
    total_tokens: int | None = msgspec.field(default=None, name="totalTokens")

    @property
    def tokens(self) -> int | None:
        """The count, under either name."""
        return self.total_tokens if self.input_tokens is None else self.input_tokens


def _question(dialect: Dialect, body: RawObject, model: str) -> bytes | None:
    """Return what a provider's counter is asked in its dialect, None where none speaks it."""
    match dialect:
        case Dialect.ANTHROPIC_MESSAGES:
            sent = {name: value for name, value in body.items() if name in _ANTHROPICS}
            return encode({**sent, "model": model})
        case Dialect.GEMINI:
            sent = {name: value for name, value in body.items() if name in _GOOGLES}
            named = f"{_MODELS}{model.removeprefix(_MODELS)}"
            return encode({"generateContentRequest": {"model": named, **sent}})
        case _:
            return None


class InputCounter:
    """Counts for one worker. `transport` reaches the network."""

    def __init__(self, gate: Gate, counter: TokenCounter, transport: Transport) -> None:
        self._gate = gate
        self._counter = counter
        self._transport = transport

    async def count(
        self, dialect: Dialect, body: RawObject, headers: Mapping[str, str], caller: Principal
    ) -> Count:
        """Return the input tokens of `body`, a request of `dialect` whose `model` is a string.

        Any model of the catalogue will do, with or without a channel. Raises
        `ModelNotFoundError`, `ModelNotAllowedError`, and `InvalidRequestError` for content
        that matters and cannot be read.
        """
        model = msgspec.json.decode(body["model"], type=str)
        router = self._gate.router
        router.permit(model, caller.allows)
        routes = self._routes(model, dialect)
        for route in routes[:1]:
            tokens = await self._ask(route, dialect, body, headers)
            if tokens is not None:
                return Count(tokens, TokenSource.UPSTREAM)
        known = router.known_as(model) or (routes[0].model if routes else model)
        return await self._counter.count_messages(dialect, known, body)

    def _routes(self, model: str, dialect: Dialect) -> Sequence[Route]:
        """Return the routes that may count; none is fine for a model of the catalogue."""
        try:
            routes = self._gate.router.candidates(model, dialect)
        except UnavailableError:
            return ()
        except ModelNotFoundError:
            if self._gate.router.known_as(model) is None:
                raise
            return ()
        return [route for route in routes if route.channel.provider.transport == "network"]

    async def _ask(
        self, route: Route, dialect: Dialect, body: RawObject, headers: Mapping[str, str]
    ) -> int | None:
        """Ask the provider's own counter; None where it has none or fails, which is logged.

        A provider that speaks another dialect than the client is not asked.
        """
        question = _question(dialect, body, route.model) if route.dialect is dialect else None
        request = None if question is None else counting(route, question, headers)
        if request is None:
            return None
        try:
            response = await self._transport.send(request)
            try:
                answer = await response.read(_REPLY_LIMIT)
            finally:
                await response.close()
            return msgspec.json.decode(answer, type=_Answer).tokens
        except (MeterwayError, msgspec.DecodeError) as error:
            _log.warning("counting.upstream_failed", channel=route.channel.name, error=str(error))
            return None
