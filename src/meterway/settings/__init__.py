"""Every knob of the product, read once: flags, then environment, then a TOML or YAML file."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from meterway.kit.fetching.hosts import PrivateHosts
from meterway.kit.money import BadAmountError, dollars
from meterway.settings.sources import PREFIX, Environment, SettingsError, read_file

MEBIBYTE = 1024 * 1024
DATABASE_NAME, SECRET_NAME, JOURNALS_NAME = "meterway.db", "secret", "journals"

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Bytes = Annotated[int, Field(gt=0)]


def default_data() -> Path:
    """Return the folder used where none is named: the platform's own place for such things."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "meterway"
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "meterway"


class ChannelTable(BaseModel):
    """One `[[channels]]` table of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="What the channel is called; unique.")
    provider: str = Field(description="The provider row it follows, such as openai.")
    base_url: str | None = Field(None, description="Address; default: the provider's own.")
    api_key: SecretStr | None = Field(None, description="The credential.")
    api_keys: list[SecretStr] = Field([], description="Several credentials, used in turn.")
    models: dict[str, str] | list[str] = Field(
        [], description="Models offered: a list, or a table of our name = the upstream's name."
    )
    priority: int = Field(0, description="Lower numbers are tried first.")
    weight: int = Field(1, ge=1, description="Share of calls among equal priorities.")
    prefix: str | None = Field(None, description="Also offer its models as PREFIX/model.")
    enabled: bool = Field(True, description="Whether calls may go there.")
    headers: dict[str, SecretStr] = Field({}, description="Headers sent with every call.")
    connect_timeout: Seconds | None = Field(None, description="Seconds to connect.")
    first_byte_timeout: Seconds | None = Field(None, description="Seconds to the first byte.")
    idle_timeout: Seconds | None = Field(None, description="Seconds between two bytes.")


def _dollars(value: object) -> object:
    """Return an amount of dollars as text; a file may write it as a number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str):
        try:
            dollars(value)
        except BadAmountError as error:
            raise ValueError(error.message) from None
    return value


Dollars = Annotated[str, BeforeValidator(_dollars)]
Most = Annotated[int, Field(ge=0, le=1_000_000_000)]
MostAtOnce = Annotated[int, Field(ge=0, le=60_000)]


class TierTable(BaseModel):
    """One `[limits.TIER]` table of the settings file: what each of its users may do, and more."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rpm: Most = Field(0, description="Paid calls a minute of one user.")
    tpm: Most = Field(0, description="Tokens a minute of one user, input and output.")
    concurrency: MostAtOnce = Field(0, description="Paid calls of one user at once.")
    key_rpm: Most = Field(0, description="Paid calls a minute of one key.")
    key_tpm: Most = Field(0, description="Tokens a minute of one key.")
    key_concurrency: MostAtOnce = Field(0, description="Paid calls of one key at once.")
    total_rpm: Most = Field(0, description="Paid calls a minute of all users of the tier.")
    total_tpm: Most = Field(0, description="Tokens a minute of all users of the tier.")
    total_concurrency: MostAtOnce = Field(0, description="Paid calls of the tier at once.")
    count_rpm: Most = Field(0, description="Token counts a minute of one user.")


# Generous: they stop a loop that ran away, not a person at work. Nothing limits `admin`, which is
# how postpaid administrators are treated.
TIERS = {
    "admin": TierTable.model_validate({}),
    "normal": TierTable.model_validate(
        {"rpm": 600, "tpm": 10_000_000, "concurrency": 100, "count_rpm": 3_000}
    ),
    "VIP": TierTable.model_validate(
        {"rpm": 3_000, "tpm": 50_000_000, "concurrency": 300, "count_rpm": 10_000}
    ),
    "PREMIUM": TierTable.model_validate(
        {"rpm": 6_000, "tpm": 100_000_000, "concurrency": 500, "count_rpm": 20_000}
    ),
}


class Settings(BaseSettings):
    """The settings of one process; times are in seconds, sizes in bytes.

    Each is an environment variable too: `METERWAY_` and its name in capitals, and for secrets
    the same with `_FILE`, naming a file that holds the value.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    data: Path = Field(
        default_factory=default_data, description="Folder of the database and the secret."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(
        8787,
        ge=0,
        le=65_535,
        description="Port to listen on; 0 picks a free one.",
        json_schema_extra={"environment": ["PORT"]},
    )
    public_url: str | None = Field(
        None, description="Base URL printed for clients; default: made of host and port."
    )
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        le=256,
        description="Gateway worker processes; default: one per core.",
    )
    database_url: SecretStr | None = Field(
        None,
        description="sqlite:///FILE or postgresql://…; default: SQLite in the data folder.",
        json_schema_extra={"environment": ["DATABASE_URL"]},
    )
    secret_file: Path | None = Field(
        None, description="The installation's secret file; default: `secret` in the data folder."
    )
    admin_email: str = Field("admin@localhost", description="E-mail of the first administrator.")
    channels: list[ChannelTable] = Field([], description="Channels kept in the settings file.")
    channels_from_environment: bool = Field(
        True, description="Make a channel for each provider key found in the environment."
    )
    detect_engines: bool = Field(
        True, description="Look for local engines at their usual addresses when `serve` starts."
    )

    body_limit: Bytes = Field(64 * MEBIBYTE, description="Largest request body.")
    in_flight_limit: Bytes = Field(
        256 * MEBIBYTE, description="Request bytes one worker holds at once; more is 503."
    )
    head_limit: Bytes = Field(64 * 1024, description="Largest request head; more is 431.")
    head_count: int = Field(128, gt=0, description="Most headers of a request; more is 431.")
    head_timeout: Seconds = Field(10.0, description="Time for a request's head to arrive.")
    body_idle_timeout: Seconds = Field(30.0, description="Longest silence within a body.")
    websockets: bool = Field(
        True, description="Whether the Responses API is served over WebSockets too; else 426."
    )
    websocket_limit: Bytes = Field(
        16 * MEBIBYTE, description="Largest message of a WebSocket, before and after unpacking."
    )
    websockets_each: int = Field(
        100, gt=0, description="Most WebSockets one user has open at one worker; more is 429."
    )
    websocket_ping: Seconds = Field(
        30.0, description="Silence after which a WebSocket's client is asked whether it is there."
    )

    limits: dict[Literal["admin", "normal", "VIP", "PREMIUM"], TierTable] = Field(
        {}, description="Limits by membership tier; what a table leaves out stays as it was."
    )

    billing: bool = Field(
        True, description="Whether calls are priced, held and charged; without, none is refused."
    )

    connect_timeout: Seconds = Field(10.0, description="Time to connect to an upstream.")
    first_byte_timeout: Seconds = Field(600.0, description="Time to an upstream's first byte.")
    idle_timeout: Seconds = Field(120.0, description="Longest silence within an upstream's reply.")
    drain: Seconds = Field(
        5.0, description="How long an upstream call goes on after its client left."
    )
    keep_alive: Seconds = Field(15.0, description="Silence after which a stream gets a comment.")

    fetch_limit: Bytes = Field(
        20 * MEBIBYTE, description="Largest picture or document fetched for a provider."
    )
    fetch_timeout: Seconds = Field(10.0, description="Time to fetch one of them.")
    fetch_private_hosts: str | None = Field(
        None,
        description="Hosts, addresses and networks fetched from though not public, by commas.",
    )

    retry_attempts: int = Field(3, ge=1, le=20, description="Most attempts of one call.")
    retry_backoff: Seconds = Field(0.25, description="Pause before the first repeat; it doubles.")
    retry_backoff_limit: Seconds = Field(8.0, description="Longest pause between attempts.")
    cooldown_failures: int = Field(
        3, ge=1, description="Failures in a row that put a model to rest at a channel."
    )
    cooldown: Seconds = Field(15.0, description="First rest of a failing credential; it doubles.")
    cooldown_limit: Seconds = Field(300.0, description="Longest rest of a failing credential.")

    shutdown_grace: Seconds = Field(30.0, description="Time for streams to finish at the end.")
    snapshot_poll_ms: int = Field(
        250, ge=10, le=10_000, description="How often workers look for changes, in milliseconds."
    )
    key_cache: int = Field(10_000, ge=1, description="Keys one worker remembers.")

    units_per_usd: int = Field(
        250_000,
        ge=1,
        le=10_000_000,
        description="The platform's API counts money in units: so many are a US dollar.",
    )

    daily_free: Dollars = Field(
        "0", description="Dollars each prepaid user's free money is filled up to, once a UTC day."
    )
    membership_prices: dict[Literal["VIP", "PREMIUM"], Dollars] = Field(
        {}, description="Dollars a month of membership, by tier; only those with a price are sold."
    )
    usage_retention_days: int | None = Field(
        None,
        ge=1,
        le=36_500,
        description="Days that ended calls are kept; sums by day stay. Default: for ever.",
    )
    stored_days: int = Field(
        30,
        ge=0,
        le=36_500,
        description="Days that responses and chat completions made with `store` are kept; "
        "0: for ever.",
    )
    background_jobs: int = Field(
        8, ge=1, le=1024, description="Responses made in the background at once, on one machine."
    )
    journal_sync: Literal["relaxed", "always"] = Field(
        "relaxed",
        description="always: a reply's last byte waits until its charge is on the disk.",
    )

    metrics_token: SecretStr | None = Field(
        None, description="Bearer that may read /metrics; without one only this machine may."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity that is logged."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="Form of log lines; auto: text on a terminal, else JSON."
    )

    https_proxy: SecretStr | None = Field(
        None,
        description="Proxy for upstreams.",
        json_schema_extra={"environment": ["HTTPS_PROXY", "https_proxy"]},
    )
    http_proxy: SecretStr | None = Field(
        None,
        description="The same, where `https_proxy` is unset.",
        json_schema_extra={"environment": ["HTTP_PROXY", "http_proxy"]},
    )
    no_proxy: str | None = Field(
        None,
        description="Hosts reached without a proxy, comma-separated.",
        json_schema_extra={"environment": ["NO_PROXY", "no_proxy"]},
    )
    ssl_cert_file: Path | None = Field(
        None,
        description="Certificates trusted for upstreams, in PEM.",
        json_schema_extra={"environment": ["SSL_CERT_FILE"]},
    )

    @field_validator("data", "secret_file", "ssl_cert_file")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

    @field_validator("fetch_private_hosts")
    @classmethod
    def _hosts(cls, text: str | None) -> str | None:
        PrivateHosts(text or "")
        return text

    @property
    def tiers(self) -> dict[str, TierTable]:
        """The limits of every tier: the built-in ones, changed by what `limits` says; 0 is none."""
        given = {str(name): table for name, table in self.limits.items()}
        return {
            name: table.model_copy(update=given[name].model_dump(exclude_unset=True))
            if name in given
            else table
            for name, table in TIERS.items()
        }

    @property
    def database(self) -> str:
        """The database URL in use, which may hold a password."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.database_file}"

    @property
    def database_file(self) -> Path:
        """Where the database lies while no other is named."""
        return self.data / DATABASE_NAME

    @property
    def journals(self) -> Path:
        """Where workers journal what their calls cost; one machine's alone."""
        return self.data / JOURNALS_NAME

    @property
    def secret_path(self) -> Path:
        """Where the installation's secret file lies."""
        return self.secret_file or self.data / SECRET_NAME

    @property
    def base_url(self) -> str:
        """The address clients are told, without a trailing slash."""
        if self.public_url is not None:
            return self.public_url.rstrip("/")
        anywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - compared, not bound
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{anywhere.get(self.host, host)}:{self.port}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Keep what is handed in: `load` has put the sources in order already."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


def load(
    flags: dict[str, Any], *, environ: dict[str, str] | None = None, config: Path | None = None
) -> Settings:
    """Read the settings: `flags` that are not None, then the environment, then the file.

    The file is `config`, else the one METERWAY_CONFIG names, else none. Raises `SettingsError`
    with one sentence per mistake; no value is repeated in it, since it may be a secret.
    """
    environment = Environment(Settings.model_fields, os.environ if environ is None else environ)
    named = environment.named_file()
    file = config or (Path(named) if named else None)
    from_file = read_file(file, Settings.model_fields, environment.variables) if file else {}
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings(**{**from_file, **environment.values(), **given})
    except ValidationError as error:
        raise SettingsError(" ".join(_sentences(error))) from None


def _sentences(error: ValidationError) -> list[str]:
    """Say each mistake with the setting's name, and without the value that was given."""
    sentences = []
    for mistake in error.errors(include_input=False, include_url=False, include_context=False):
        where = ".".join(str(part) for part in mistake["loc"])
        if mistake["type"] == "extra_forbidden":
            sentences.append(f"Unknown setting '{where}'.")
        else:
            sentences.append(f"Setting '{where}' is wrong: {mistake['msg'].rstrip('.')}.")
    return sentences


__all__ = [
    "PREFIX",
    "TIERS",
    "ChannelTable",
    "Settings",
    "SettingsError",
    "TierTable",
    "default_data",
    "load",
]
