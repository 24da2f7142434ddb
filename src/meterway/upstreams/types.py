"""Where a call can go: provider rows, an operator's channels, and routes through them."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from meterway.protocols.dialects import Dialect


class AuthForm(StrEnum):
    """How a provider wants its credential."""

    BEARER = "bearer"
    X_API_KEY = "x-api-key"
    API_KEY = "api-key"
    X_GOOG_API_KEY = "x-goog-api-key"
    NONE = "none"


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A row of facts about one vendor or engine; behaviour never depends on its name.

    `speaks` maps each dialect to the path appended to the base URL, the usual one first;
    `streams` to that of streams, where it is another. `{model}` in a path stands for the model.
    `base_url` is None where the operator must give one (generic rows, Azure). `auths` names the
    dialects that want the credential in another form than `auth`. `key_env` names the environment
    variable that makes a channel at first start; `url_env` the one that gives a local engine's
    address. `drops` lists top-level fields of OpenAI's requests that the provider is known to
    refuse, `renames` those it only knows by another name. `hosts` names the catalogue vendors
    whose models it serves when a channel lists none; empty means any model.
    `counts` maps dialects to the path of the provider's own token counter. `source` is the
    vendor's page the row follows. `transport` names the carrier of its requests: "network", or
    "sandbox" for the one that answers in process. `rests` says that failures count against it;
    the sandbox fails on request, and goes on answering. `fetches_urls` says that its servers fetch
    pictures and documents that a request names by URL; for others the gateway does.
    """

    name: str
    title: str
    speaks: Mapping[Dialect, str]
    source: str
    base_url: str | None = None
    streams: Mapping[Dialect, str] = {}
    auth: AuthForm = AuthForm.BEARER
    auths: Mapping[Dialect, AuthForm] = {}
    headers: Mapping[str, str] = {}
    key_env: str | None = None
    url_env: str | None = None
    local: bool = False
    counts: Mapping[Dialect, str] = {}
    models_path: str | None = "/models"
    drops: frozenset[str] = frozenset()
    renames: Mapping[str, str] = {}
    hosts: frozenset[str] = frozenset()
    transport: str = "network"
    rests: bool = True
    fetches_urls: bool = True


class Credential(msgspec.Struct, frozen=True):
    """One secret of a channel; `id` names it in logs and metrics, the secret never appears.

    `maker` is the name under which what its account encrypts comes back; empty for no name.
    """

    id: str
    secret: str
    maker: str = ""

    def __repr__(self) -> str:
        """Show the id alone."""
        return f"Credential({self.id!r})"


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one attempt, in seconds: to connect, to the first byte, and between bytes."""

    connect: float = 10.0
    first_byte: float = 600.0
    idle: float = 120.0


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """An operator's credentialed provider.

    `models` maps the names clients ask for to the names the upstream knows; empty means: every
    name, as asked. Lower `priority` numbers are tried first; within one priority the share of
    calls follows `weight`. `prefix`, such as "TA", is offered as `TA/model` too.
    `maker` is what a credential's is, for a channel without any.
    """

    id: int
    name: str
    provider: Provider
    base_url: str
    credentials: tuple[Credential, ...]
    models: Mapping[str, str] = {}
    priority: int = 0
    weight: int = 1
    prefix: str | None = None
    enabled: bool = True
    headers: Mapping[str, str] = {}
    timeouts: Timeouts = Timeouts()
    maker: str = ""

    def __repr__(self) -> str:
        """Show the name and the provider's: headers may hold secrets."""
        return f"Channel({self.name!r}, {self.provider.name!r})"


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A channel, one of its credentials, and the model's name there: where one attempt goes."""

    channel: Channel
    credential: Credential | None
    model: str
    dialect: Dialect

    @property
    def maker(self) -> str:
        """The name of who alone can read what is encrypted at its end; empty where it has none."""
        return (self.credential or self.channel).maker
