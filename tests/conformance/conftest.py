"""Live gateways for the official clients: the sandbox alone, and two gateways in a row."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from meterway.upstreams.sandbox.behaviour import BEHAVIOURS, PREFIX
from tests.conformance.agents import CACHE, installed
from tests.conformance.failing import Failing, failing_gateway
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


@pytest.fixture(scope="session")
def failing(new_gateway: Callable[..., Gateway]) -> Iterator[Failing]:
    """A gateway before a vendor that fails on purpose; what fails is its client's to repeat."""
    with failing_gateway(new_gateway, **IMPATIENT) as made:
        yield made


@pytest.fixture(scope="session")
def insistent(new_gateway: Callable[..., Gateway]) -> Iterator[Failing]:
    """The same, where the gateway repeats what failed."""
    tries = {"METERWAY_RETRY_ATTEMPTS": "2", "METERWAY_RETRY_BACKOFF": "0.01"}
    with failing_gateway(new_gateway, **IMPATIENT | tries) as made:
        yield made


@pytest.fixture(scope="session")
def claude() -> Path:
    """Claude Code, the newer version."""
    return installed("claude")


@pytest.fixture(scope="session", params=["", "older"], ids=["newer", "older"])
def each_claude(request) -> Path:
    """Claude Code, each of the versions."""
    return installed("claude", among=request.param)


@pytest.fixture(scope="session")
def codex() -> Path:
    """Codex."""
    return installed("codex")


@pytest.fixture
def home() -> Iterator[Path]:
    """A home of its own; Codex will not have one among temporary files."""
    folder = Path(tempfile.mkdtemp(prefix="codex-", dir=CACHE))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def gemini() -> Path:
    """Gemini CLI."""
    return installed("gemini")
