"""Wires what carries a worker's calls, and keeps its view of the channels up to date."""

from pathlib import Path

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from meterway.auth.types import Principal
from meterway.catalog.families import family_of
from meterway.catalog.service import Catalog
from meterway.catalog.types import Model
from meterway.db.engine import reading
from meterway.kit import log, secret_file
from meterway.kit.clock import Clock
from meterway.kit.fetching import Fetcher, Room
from meterway.processes.money import Money
from meterway.processes.network import open_fetcher, open_network
from meterway.processes.tally import EndedCalls, Figures, call_log
from meterway.protocols.chat.codecs import CODECS
from meterway.relay.attempts import Attempts, RetryPolicy
from meterway.relay.billing import Billing
from meterway.relay.exchange import Exchange
from meterway.relay.limits import CallLimits
from meterway.relay.materials import Materials
from meterway.relay.pipeline import Gate, unchanged
from meterway.relay.till import Till
from meterway.routing import service as routing
from meterway.routing.health import Breaker, Health
from meterway.routing.router import ModelNotAllowedError, Router, Terms
from meterway.settings import Settings
from meterway.tokens.service import TokenCounter
from meterway.upstreams.providers import PROVIDERS, SANDBOX
from meterway.upstreams.sandbox import SandboxTransport
from meterway.upstreams.types import Channel, Timeouts

_log = structlog.get_logger()
_STAND_IN = Channel(
    id=0, name="sandbox", provider=SANDBOX, base_url=SANDBOX.base_url or "", credentials=()
)


class Relaying:
    """The way from a call to an upstream, for one worker.

    Until `refresh` ran once, no channel is known and `loaded` is false.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a worker has
        self,
        settings: Settings,
        engine: AsyncEngine,
        clock: Clock,
        counter: TokenCounter,
        process: str,
        limits: CallLimits,
        money: Money | None,
        room: Room,
    ) -> None:
        self.loaded = False
        self.catalog = Catalog() if money is None else money.catalog
        self.network = open_network(settings)
        self._fetcher = open_fetcher(settings)
        self._secret: Path = settings.secret_path
        self._engine = engine
        self._timeouts = Timeouts(
            connect=settings.connect_timeout,
            first_byte=settings.first_byte_timeout,
            idle=settings.idle_timeout,
        )
        self._health = Health(clock, _breaker(settings))
        transports = {"network": self.network, "sandbox": SandboxTransport(counter, clock)}
        attempts = Attempts(
            Exchange(transports, CODECS, clock, _materials(settings, self._fetcher, room)),
            self._health,
            clock,
            _retry_policy(settings),
        )
        router = Router((), self.catalog, self._health)
        as_json = not log.is_text(settings.log_format)
        write = call_log(settings.log_level, as_json=as_json, process=process)
        self._ended = EndedCalls(Figures(), write)
        self._clock = clock
        self._money = money
        self._billing = self._made_billing(gathers=settings.journal_sync != "always")
        till = Till(clock, (self._ended,), self._billing)
        self.gate = Gate(unchanged, router, limits, till, attempts)
        self._listed: tuple[Router, list[Model]] = (router, [])

    async def refresh(self) -> None:
        """Read the channels anew. Raises what the database and the secret file raise."""
        secrets = secret_file.load(self._secret)  # a rotation may have changed it
        async with reading(self._engine) as connection:
            channels = await routing.list_channels(
                connection,
                secrets.box,
                PROVIDERS,
                defaults=self._timeouts,
                maker_key=secrets.maker_key,
            )
            real = await routing.ever_had_real_channel(connection)
        self.gate.router = Router(
            channels,
            self.catalog,
            self._health,
            stand_in=_STAND_IN,
            pretend=not real,
            priced=self._is_priced,
        )
        if self._billing is not None:
            self._billing.forget()
        self._health.forget({_STAND_IN.id, *(channel.id for channel in channels)})
        self.loaded = True
        _log.info("channels.loaded", channels=len(channels), sandbox=not real)

    def _made_billing(self, *, gathers: bool) -> Billing | None:
        money = self._money
        if money is None:
            return None
        return Billing(self.catalog, money.pricing, money, self.terms, gathers=gathers)

    def write_down(self) -> None:
        """Journal the calls that ended; nothing of their replies' ends may leave before."""
        if self._billing is not None:
            self._billing.write_down()

    def terms(self, model: str) -> Terms:
        """Return what a model is priced as."""
        return self.gate.router.terms(model)

    def _is_priced(self, model: str) -> bool:
        return self._money is None or self._money.pricing.priced(model, self._clock.now())

    def offered(self, caller: Principal) -> list[Model]:
        """Return the models `caller` may use, in the order to list them."""
        router = self.gate.router
        if self._listed[0] is not router:
            self._listed = (router, [self._facts(name) for name in router.offered()])
        return [model for model in self._listed[1] if _may(router, caller, model.id)]

    def find(self, caller: Principal, name: str) -> Model | None:
        """Return a model by any of its names, None where `caller` may not use it."""
        router = self.gate.router
        if not router.serves(name) or not _may(router, caller, name):
            return None
        return self._facts(name)

    def most_output(self, name: str) -> int | None:
        """Return the most tokens a model by any of its names can write, None where unknown."""
        known = self.catalog.find(name) or self.catalog.find(self.terms(name)[0])
        return None if known is None else known.max_output

    def _facts(self, name: str) -> Model:
        """Return what is known of `name`; one behind a prefix keeps it."""
        known = self.catalog.find(name)
        if known is None:
            vendor = self.catalog.vendor_of(name) or "unknown"
            return Model(id=name, family=family_of(name), vendor=vendor, title=name)
        if name == known.id or name in known.aliases:
            return known
        return msgspec.structs.replace(known, id=name)

    async def close(self) -> None:
        """Close the connections to upstreams, and tell of the last calls."""
        self.write_down()
        self._ended.flush()
        self._fetcher.close()
        await self.network.close()


def _materials(settings: Settings, fetcher: Fetcher, room: Room) -> Materials:
    """Return what brings in; all of a call counts as if its body had brought it along."""
    return Materials(
        fetcher,
        room,
        size=settings.fetch_limit,
        seconds=settings.fetch_timeout,
        total=settings.body_limit,
    )


def _breaker(settings: Settings) -> Breaker:
    return Breaker(
        threshold=settings.cooldown_failures,
        first=settings.cooldown,
        longest=settings.cooldown_limit,
    )


def _retry_policy(settings: Settings) -> RetryPolicy:
    return RetryPolicy(
        tries=settings.retry_attempts,
        first_wait=settings.retry_backoff,
        longest_wait=settings.retry_backoff_limit,
    )


def _may(router: Router, caller: Principal, name: str) -> bool:
    if caller.permissions is None:
        return True
    try:
        router.permit(name, caller.allows)
    except ModelNotAllowedError:
        return False
    return True
