"""From a model's name to the routes worth trying, best first.

A router is an immutable index over one snapshot of the channels; when they change, a new one
takes its place. Lower priorities come first; within one priority calls spread by weight, and over
a channel's credentials in turn. Channels that list no models serve whatever their provider hosts.
"""

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple, TypeAlias

import msgspec

from meterway.catalog.service import Catalog
from meterway.kit.errors import ForbiddenError, NotFoundError, UnavailableError
from meterway.protocols.dialects import ENCRYPTING, FAMILIES, Dialect
from meterway.routing.health import Health
from meterway.upstreams.types import Channel, Route

_NAMES_KEPT = 4096


class ModelNotFoundError(NotFoundError):
    """No channel offers the model that was asked for."""

    code = "model_not_found"

    def __init__(self, model: str) -> None:
        message = f"The model `{model}` does not exist or you do not have access to it."
        super().__init__(message, param="model")
        self.model = model


class AllCoolingError(UnavailableError):
    """Every channel that offers the model failed lately and is resting."""

    code = "upstreams_cooling"


class ModelNotAllowedError(ForbiddenError):
    """The key's permissions do not cover the model."""

    code = "model_not_allowed"


Allows: TypeAlias = Callable[[str, str | None], bool]
Priced: TypeAlias = Callable[[str], bool]


class Terms(NamedTuple):
    """What a call for a model is priced as: under which name, and whether it is free."""

    name: str
    free: bool


class _Target(msgspec.Struct, frozen=True):
    """A channel that offers a name, and what its upstream calls it."""

    channel: Channel
    model: str


class Router:
    """Candidates for each model over one snapshot of channels.

    `stand_in` is the sandbox: it always answers for its own `sandbox/…` models, and for
    every catalogue model while `pretend` is true. A name that is not `priced` is offered only
    where all channels that offer it cost nobody anything.
    """

    def __init__(  # noqa: PLR0913 - what a router is made of, each part by its name
        self,
        channels: Sequence[Channel],
        catalog: Catalog,
        health: Health,
        *,
        stand_in: Channel | None = None,
        pretend: bool = False,
        priced: Priced = lambda _: True,
    ) -> None:
        enabled = [channel for channel in channels if channel.enabled]
        self._channels = sorted(enabled, key=lambda channel: channel.priority)
        self._catalog = catalog
        self._health = health
        self._stand_in = stand_in
        self._pretend = pretend
        self._priced = priced
        self._targets: dict[str, tuple[_Target, ...]] = {}
        self._terms: dict[str, Terms] = {}
        self._only: dict[tuple[str, Dialect], Route] = {}  # where there is no choice to make
        self._turn = 0

    def permit(self, model: str, allows: Allows) -> None:
        """Raise `ModelNotAllowedError` unless `allows` the model, by its name or its family."""
        if allows(model, None):
            return
        known = self._catalog.find(model)
        if known is not None and allows(known.id, known.family):
            return
        message = f"This key is not allowed to use the model `{model}`."
        raise ModelNotAllowedError(message, param="model")

    def candidates(
        self, model: str, dialect: Dialect, makers: Callable[[], Sequence[str]] | None = None
    ) -> list[Route]:
        """Return the routes for `model`, best first, never empty.

        A route speaks the caller's `dialect`, or one of its family, where its provider does. Where
        there is a choice, those that `makers` names stand before the others, in its order. Raises
        `ModelNotFoundError`, or `AllCoolingError` with `retry_after` in seconds.
        """
        routes = self._usable(model, dialect)
        if makers is not None and len(routes) > 1 and any(map(_keeps_thoughts, routes)):
            rank = {maker: place for place, maker in enumerate(makers())}
            if rank:
                routes.sort(key=lambda route: rank.get(route.maker, len(rank)))
        return routes

    def _usable(self, model: str, dialect: Dialect) -> list[Route]:
        only = self._only.get((model, dialect))
        routes = [only] if only else self._ordered(model, dialect)
        if not self._health.troubled:
            return routes
        waits = [self._health.cooling(route) for route in routes]
        if not any(waits):
            return routes
        usable = [route for route, wait in zip(routes, waits, strict=True) if not wait]
        if not usable:
            message = f"Every channel for `{model}` failed lately and is resting; retry later."
            raise AllCoolingError(message, retry_after=min(waits))
        return usable

    def known_as(self, model: str) -> str | None:
        """Return the catalogue's name of `model`, None where the catalogue lacks it."""
        known = self._catalog.find(model)
        return known.id if known else None

    def offered(self) -> list[str]:
        """Return the names of the models that can be asked for, in the catalogue's order first."""
        listed = {name for channel in self._channels for name in _listed(channel)}
        known = [model.id for model in self._catalog.models() if self.serves(model.id)]
        return known + sorted(filter(self.serves, listed.difference(known)))

    def serves(self, model: str) -> bool:
        """Whether some channel offers `model`."""
        return bool(self._find(model))

    def terms(self, model: str) -> Terms:
        """Return what `model` is priced as: its name without a channel's prefix, and if it is free.

        Free are models that only engines of one's own and the sandbox offer. The sandbox in the
        place of a vendor's model asks that model's price, if it has one.
        """
        found = self._terms.get(model)
        if found is None:
            if len(self._terms) >= _NAMES_KEPT:
                self._terms.clear()
            free = self._is_free(model, self._offering(model))
            found = self._terms[model] = Terms(self._priced_as(model), free)
        return found

    def unpriced(self) -> dict[str, list[str]]:
        """Return the models nobody is offered for want of a price, by the channels that have them.

        Of a channel that lists none, these are the catalogue's that its provider hosts.
        """
        found: dict[str, list[str]] = {}
        for channel in self._channels:
            names = channel.models or [
                model.id
                for model in self._catalog.models()
                if model.vendor in channel.provider.hosts and not model.deprecated
            ]
            missing = [name for name in names if self._offering(name) and not self._find(name)]
            if missing:
                found[channel.name] = missing
        return found

    def _remember(self, model: str) -> tuple[_Target, ...]:
        targets = tuple(self._find(model))
        if not targets:
            raise ModelNotFoundError(model)
        if len(self._targets) >= _NAMES_KEPT:
            self._targets.clear()
        self._targets[model] = targets
        return targets

    def _find(self, model: str) -> list[_Target]:
        targets = self._offering(model)
        if self._priced(self._priced_as(model)) or self._is_free(model, targets):
            return targets
        return []

    def _priced_as(self, model: str) -> str:
        """Return the name that has the price of `model`: its own before that without a prefix."""
        if not self._priced(model):
            for channel in self._channels:
                bare = _without_prefix(channel, model)
                if bare != model and self._priced(bare):
                    return bare
        return model

    def _is_free(self, model: str, targets: Sequence[_Target]) -> bool:
        bare = [_without_prefix(target.channel, model) for target in targets]
        if bare and all(name.startswith("sandbox/") for name in bare):
            return True  # wherever it is: another gateway's costs nothing either
        if any(target.channel is self._stand_in for target in targets):
            return not self._priced(model)
        return bool(targets) and all(target.channel.provider.local for target in targets)

    def _offering(self, model: str) -> list[_Target]:
        targets = [target for channel in self._channels if (target := self._target(channel, model))]
        listing = [target for target in targets if target.channel.models]
        if self._catalog.find(model) is None:  # those who list it know it, the others only guess
            return listing or targets
        if self._stand_in is None:
            return targets
        if model.startswith("sandbox/"):
            return listing or [_Target(self._stand_in, model)]
        return targets or ([_Target(self._stand_in, model)] if self._pretend else [])

    def _target(self, channel: Channel, asked: str) -> _Target | None:
        name = _without_prefix(channel, asked)
        if name in channel.models:
            return _Target(channel, channel.models[name])
        known = self._catalog.find(name)
        if channel.models:
            canonical = known.id if known else name
            return (
                _Target(channel, channel.models[canonical]) if canonical in channel.models else None
            )
        hosts = channel.provider.hosts
        vendor = known.vendor if known else self._catalog.vendor_of(name)
        return _Target(channel, name) if not hosts or vendor in hosts else None

    def _ordered(self, model: str, dialect: Dialect) -> list[Route]:
        targets = self._targets.get(model)
        if targets is None:
            targets = self._remember(model)
        self._turn += 1
        routes = list(self._routes(targets, dialect))
        if len(routes) == 1:
            if len(self._only) >= _NAMES_KEPT:
                self._only.clear()
            self._only[model, dialect] = routes[0]
        return routes

    def _routes(self, targets: Sequence[_Target], dialect: Dialect) -> Iterator[Route]:
        if len(targets) == 1:
            yield from self._over_credentials(targets[0], dialect)
            return
        for _, group in groupby(targets, key=lambda target: target.channel.priority):
            for target in _by_weight(list(group)):
                yield from self._over_credentials(target, dialect)

    def _over_credentials(self, target: _Target, dialect: Dialect) -> Iterator[Route]:
        channel = target.channel
        chosen = _nearest(dialect, channel.provider.speaks)
        keys = channel.credentials or (None,)
        first = self._turn % len(keys)
        for credential in (*keys[first:], *keys[:first]):
            yield Route(channel=channel, credential=credential, model=target.model, dialect=chosen)


def _keeps_thoughts(route: Route) -> bool:
    return route.dialect in ENCRYPTING


def _nearest(dialect: Dialect, speaks: Mapping[Dialect, str]) -> Dialect:
    """Return what to speak to a client of `dialect`: its own, one of its family, or the first."""
    if dialect in speaks:
        return dialect
    akin = (one for one in speaks if FAMILIES[one] is FAMILIES[dialect])
    return next(akin, next(iter(speaks)))


def _listed(channel: Channel) -> Iterator[str]:
    for name in channel.models:
        yield name
        if channel.prefix:
            yield f"{channel.prefix}/{name}"


def _without_prefix(channel: Channel, asked: str) -> str:
    prefix = channel.prefix
    if prefix and asked.startswith((f"{prefix}/", f"{prefix}:")):
        return asked[len(prefix) + 1 :]
    return asked


def _by_weight(group: list[_Target]) -> list[_Target]:
    """Order `group` at random, heavier channels sooner: weighted sampling without replacement."""
    if len(group) == 1:
        return group
    return sorted(group, key=_draw, reverse=True)


def _draw(target: _Target) -> float:
    weight = max(target.channel.weight, 1)
    return math.pow(random.random(), 1 / weight)  # noqa: S311 - spreading load is no secret
