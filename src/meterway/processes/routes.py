"""Which handler answers each route of a worker."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from meterway.accounts.types import Tier
from meterway.auth.types import Principal
from meterway.edge import forwarding
from meterway.edge.anthropic import complete, count_tokens, messages
from meterway.edge.gemini import count_tokens as gemini_tokens
from meterway.edge.gemini import generate
from meterway.edge.gemini import models as gemini_models
from meterway.edge.http import Handler
from meterway.edge.idempotency import Idempotence, Idempotent
from meterway.edge.openai import chat, completions, conversations, models, stored
from meterway.edge.openai.responses import compact
from meterway.edge.openai.responses import counting as response_counting
from meterway.edge.openai.responses import create as response_making
from meterway.edge.openai.responses import stored as stored_responses
from meterway.edge.openai.responses.background import Acceptance
from meterway.edge.openai.responses.socket import ResponsesSocket, Sockets
from meterway.edge.openai.responses.turns import Turns
from meterway.edge.openai.shelf import Shelf
from meterway.edge.platform import (
    account,
    billing,
    docs,
    keys,
    purchases,
    rates,
    receipts,
    usage,
)
from meterway.edge.platform import completions as kept_completions
from meterway.edge.platform.envelope import Door
from meterway.edge.platform.health import Readiness, alive
from meterway.edge.platform.home import home
from meterway.edge.platform.metrics import Metrics
from meterway.edge.platform.openapi import openapi
from meterway.edge.platform.version import version
from meterway.edge.server import Route
from meterway.edge.serving import Desk
from meterway.idempotency import service as idempotency
from meterway.kit.clock import Clock
from meterway.kit.money import Nanos
from meterway.ledger.books import service as books
from meterway.ledger.charges import service as charges
from meterway.metering.quotes import Listing
from meterway.processes.money import Money
from meterway.processes.relaying import Relaying
from meterway.protocols.chat.anthropic_complete import ANTHROPIC_COMPLETE
from meterway.protocols.chat.anthropic_messages import ANTHROPIC_MESSAGES
from meterway.protocols.chat.gemini import GEMINI
from meterway.protocols.chat.openai_chat import OPENAI_CHAT
from meterway.protocols.chat.openai_completions import OPENAI_COMPLETIONS
from meterway.protocols.chat.openai_responses import OPENAI_RESPONSES
from meterway.relay.counting import InputCounter
from meterway.tokens.service import TokenCounter

_ALIVE = ("/health", "/healthz", "/livez")
_READY = ("/ready", "/readyz", "/health/readiness")


class Office(msgspec.Struct, frozen=True, kw_only=True):
    """What the platform's own endpoints work with."""

    engine: AsyncEngine
    clock: Clock
    pepper: bytes
    units_per_usd: int
    relaying: Relaying
    money: Money | None
    membership_prices: Mapping[Tier, Nanos]


def paid(  # noqa: PLR0913, PLR0917 - what a worker has
    desk: Desk,
    once: Idempotence,
    relaying: Relaying,
    counter: TokenCounter,
    shelf: Shelf,
    wake: Callable[[], None],
) -> Sequence[Route]:
    """Return the vendors' routes; `wake` tells that a background job was queued."""
    counting = InputCounter(relaying.gate, counter, relaying.network)
    listed = models.ModelList(desk.authenticator, relaying.offered)
    one = models.OneModel(desk.authenticator, relaying.find)
    googles_list = gemini_models.ModelList(desk.authenticator, relaying.offered)
    googles_one = gemini_models.OneModel(desk.authenticator, relaying.find)
    texts, legacy = completions.endpoint(desk), complete.endpoint(desk, relaying.most_output)
    return [
        Route("POST", chat.PATH, Idempotent(chat.endpoint(desk, shelf=shelf), once, OPENAI_CHAT)),
        Route("POST", messages.PATH, Idempotent(messages.endpoint(desk), once, ANTHROPIC_MESSAGES)),
        Route("POST", count_tokens.PATH, count_tokens.CountTokens(desk, counting)),
        Route("POST", completions.PATH, Idempotent(texts, once, OPENAI_COMPLETIONS)),
        Route("POST", complete.PATH, Idempotent(legacy, once, ANTHROPIC_COMPLETE)),
        Route("GET", models.LIST_PATH, gemini_models.ByClient(googles_list, listed)),
        Route("GET", models.ONE_PATH, gemini_models.ByClient(googles_one, one)),
        Route("GET", gemini_models.LIST_PATH, googles_list),
        Route("GET", gemini_models.ONE_PATH, googles_one),
        *_responses(desk, once, shelf, counting, Acceptance(desk, shelf, wake)),
        *_googles(desk, once, counting),
        *kept(once, shelf),
        *_forwarded(desk, once, (count_tokens.CountTokens(desk, counting), listed), shelf),
    ]


def _responses(
    desk: Desk, once: Idempotence, shelf: Shelf, counting: InputCounter, accept: Acceptance
) -> Sequence[Route]:
    """Return the routes that make responses; one of them is a forwarding service's."""
    turns, codex = Turns(shelf), forwarding.CODEX
    make = response_making.CreateResponse(desk, turns, accept)
    forwarded = response_making.CreateResponse(desk, turns, accept, codex)
    count = response_counting.CountInput(desk, turns, counting)
    path = response_making.PATH
    return [
        Route("POST", path, Idempotent(make, once, OPENAI_RESPONSES)),
        Route("POST", response_counting.PATH, count),
        Route("POST", compact.PATH, Idempotent(compact.CompactResponse(desk, turns), once)),
        Route("POST", forwarding.path(codex, path), Idempotent(forwarded, once, OPENAI_RESPONSES)),
    ]


def sockets(desk: Desk, shelf: Shelf, shared: Sockets) -> Sequence[Route]:
    """Return the routes that open WebSockets."""
    turns, codex, path = Turns(shelf), forwarding.CODEX, response_making.PATH
    forwarded = ResponsesSocket(desk, turns, shared, codex)
    return [
        Route("GET", path, ResponsesSocket(desk, turns, shared)),
        Route("GET", forwarding.path(codex, path), forwarded),
    ]


def kept(once: Idempotence, shelf: Shelf) -> Sequence[Route]:
    """Return the routes of what is kept; their POSTs may be repeated under an `Idempotency-Key`."""
    once = msgspec.structs.replace(once, fate_of=idempotency.never_free)
    return [
        route._replace(handler=Idempotent(route.handler, once)) if route.method == "POST" else route
        for route in (
            *conversations.routes(shelf),
            *stored.routes(shelf),
            *stored_responses.routes(shelf, once.desk.keep_alive_seconds),
        )
    ]


def _googles(desk: Desk, once: Idempotence, counting: InputCounter) -> Sequence[Route]:
    """Return the routes of the Gemini API's methods."""
    whole = generate.GenerateContent(desk, stream=False)
    streamed = generate.GenerateContent(desk, stream=True)
    return [
        Route("POST", generate.WHOLE_PATH, Idempotent(whole, once, GEMINI, google=True)),
        Route("POST", generate.STREAM_PATH, Idempotent(streamed, once, GEMINI, google=True)),
        Route("POST", gemini_tokens.PATH, gemini_tokens.CountTokens(desk, counting)),
    ]


def _forwarded(
    desk: Desk, once: Idempotence, free: tuple[Handler, Handler], shelf: Shelf
) -> Sequence[Route]:
    """Return the routes of the forwarding services: the same, on billing channels of their own."""
    counted, listed = free
    code, codex = forwarding.CLAUDE_CODE, forwarding.CODEX
    said = Idempotent(messages.endpoint(desk, code), once, ANTHROPIC_MESSAGES)
    chatted = Idempotent(chat.endpoint(desk, code, shelf), once, OPENAI_CHAT)
    return [
        Route("POST", forwarding.path(code, messages.PATH), said),
        Route("POST", forwarding.path(code, count_tokens.PATH), counted),
        Route("POST", forwarding.path(code, chat.PATH), chatted),
        Route("GET", forwarding.path(code, "/models"), listed),
        Route("GET", forwarding.path(code, models.LIST_PATH), listed),
        Route("GET", forwarding.path(codex, models.LIST_PATH), listed),
    ]


def platform(door: Door, office: Office, once: Idempotence) -> Sequence[Route]:
    """Return the routes of keys, account, purchases, receipts, usage and rates."""
    engine, units = office.engine, office.units_per_usd
    key_desk = keys.KeyDesk(
        engine=engine,
        clock=office.clock,
        pepper=office.pepper,
        models=office.relaying.catalog.models,
        units_per_usd=units,
    )
    account_desk = account.AccountDesk(
        engine=engine, clock=office.clock, pots=books.pots, units_per_usd=units
    )
    receipt_desk = receipts.ReceiptDesk(engine=engine, receipt=charges.receipt, units_per_usd=units)
    usage_desk = usage.UsageDesk(
        engine=engine,
        pepper=office.pepper,
        page=charges.page,
        summary=charges.summary,
        units_per_usd=units,
    )
    billing_desk = billing.BillingDesk(engine=engine, pots=books.pots, summary=charges.summary)
    return [
        *keys.routes(door, key_desk),
        *account.routes(door, account_desk),
        *_purchases(door, office, once),
        *receipts.routes(door, receipt_desk),
        *usage.routes(door, usage_desk),
        *billing.routes(door, billing_desk),
        *rates.routes(door, partial(_listings, office)),
        *kept_completions.routes(door, engine),
    ]


def _purchases(door: Door, office: Office, once: Idempotence) -> Sequence[Route]:
    """Return the routes of purchases, which may be repeated under an `Idempotency-Key`.

    No journal tells whether one was made: after its process died it never runs again.
    """
    once = msgspec.structs.replace(once, fate_of=idempotency.never_free)
    desk = purchases.PurchaseDesk(
        engine=office.engine,
        clock=office.clock,
        pepper=office.pepper,
        pots=books.pots,
        prices=office.membership_prices,
        units_per_usd=office.units_per_usd,
    )
    return [
        route._replace(handler=Idempotent(route.handler, once))
        for route in purchases.routes(door, desk)
    ]


def free(door: Door, readiness: Readiness, metrics_token: str | None) -> Sequence[Route]:
    """Return the routes that cost nothing and need no key."""
    handlers: dict[str, Handler] = {
        "/": home,
        **dict.fromkeys(_ALIVE, alive),
        **dict.fromkeys(_READY, readiness),
        "/metrics": Metrics(door.authenticator, metrics_token),
        "/openapi.json": openapi,
        **{path: docs.asset(path) for path in docs.ASSETS},
        "/version": version,
    }
    return [Route("GET", path, handler) for path, handler in handlers.items()]


def _listings(office: Office, caller: Principal) -> list[Listing]:
    """Return what the models a caller may use cost, in the order to list them."""
    if office.money is None:
        return []
    pricing, terms, now = office.money.pricing, office.relaying.terms, office.clock.now()
    asked = ((model.id, terms(model.id)) for model in office.relaying.offered(caller))
    found = (
        pricing.listing(priced_as, at=now, free=is_free, shown_as=name)
        for name, (priced_as, is_free) in asked
    )
    return [listing for listing in found if listing is not None]
