"""Live gateways for the official clients: the sandbox alone, and two gateways in a row."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from meterway.upstreams.sandbox.behaviour import BEHAVIOURS, PREFIX
from tests.conformance.metered import Metered, metered_gateway
from tests.factories.gateways import Gateway

CATALOGUE = ("gpt-4o-mini", "gpt-4o", "o4-mini", "claude-sonnet-4-5", "claude-opus-5-5")
# Failures come back at once, and no failing test makes the next one's channel rest.
IMPATIENT = {
    "METERWAY_RETRY_ATTEMPTS": "1",
    "METERWAY_COOLDOWN": "0.001",
    "METERWAY_COOLDOWN_LIMIT": "0.001",
    "METERWAY_BODY_LIMIT": str(2 * 1024 * 1024),
}


@dataclass(frozen=True)
class Way:
    """How a call gets to the sandbox: straight, or by a second gateway in either dialect."""

    name: str
    gateway: Gateway
    prefix: str = ""

    @property
    def fetches(self) -> bool:
        """Whether the gateway fetches what is named by URL, which needs the internet."""
        return self.name == "content"

    def to(self, model: str) -> str:
        """Return what `model` is called on this way."""
        return self.prefix + model


@pytest.fixture(scope="session")
def back(new_gateway: Callable[..., Gateway]) -> Gateway:
    """A gateway whose sandbox answers for everything."""
    return new_gateway(**IMPATIENT).start()


@pytest.fixture(scope="session")
def front(new_gateway: Callable[..., Gateway], back: Gateway) -> Gateway:
    """A gateway with channels that lead to `back`, one for each dialect."""
    made = new_gateway(**IMPATIENT)
    models = [*CATALOGUE, *(PREFIX + name for name in BEHAVIOURS)]
    for name, provider, base in (
        ("chat", "openai-compatible", f"{back.base}/v1"),
        ("messages", "anthropic-compatible", back.base),
        ("content", "gemini-compatible", back.base),
    ):
        where = ("--provider", provider, "--name", name, "--base-url", base, "--prefix", name)
        made.run("channel", "add", *where, "--api-key", back.key, "--models", ",".join(models))
    return made.start()


@pytest.fixture(params=["straight", "chat", "messages", "content"])
def way(request, back: Gateway) -> Way:
    """Each way in turn."""
    if request.param == "straight":
        return Way("straight", back)
    return Way(request.param, request.getfixturevalue("front"), f"{request.param}/")


@pytest.fixture(scope="session")
def metered(new_gateway: Callable[..., Gateway]) -> Iterator[Metered]:
    """A gateway before a vendor that tells what was used, one channel for each dialect."""
    with metered_gateway(new_gateway, **IMPATIENT) as made:
        yield made
