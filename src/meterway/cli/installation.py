"""Setting an installation up, and opening one that is there."""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from meterway.accounts import service as accounts
from meterway.accounts.types import NewUser
from meterway.catalog.prices import service as prices
from meterway.cli.declared import from_environment, from_settings
from meterway.cli.engines import Engines, address_of
from meterway.cli.frame import AlreadyInitialisedError, NotInitialisedError
from meterway.db import installation, schema
from meterway.db.engine import open_engine, reading, transaction
from meterway.keys import service as keys
from meterway.keys.types import NewKey
from meterway.kit import secret_file
from meterway.kit.clock import SystemClock
from meterway.kit.ids import random_text
from meterway.kit.secret_file import SecretFileError, Secrets
from meterway.routing import checks
from meterway.routing import service as routing
from meterway.routing.types import NewChannel, Origin, StoredChannel
from meterway.settings import Settings, SettingsError
from meterway.upstreams.providers import PROVIDERS
from meterway.upstreams.transports.choose import open_transport
from meterway.upstreams.types import Provider

_PASSWORD_LENGTH = 20


class Admin(msgspec.Struct, frozen=True):
    """The first administrator, with the password that is shown once; the repr hides it."""

    email: str
    password: str

    def __repr__(self) -> str:
        """Show the e-mail alone."""
        return f"Admin({self.email!r})"


class FirstStart(msgspec.Struct, frozen=True):
    """What is shown once, when an installation is set up; the repr hides it."""

    base_url: str
    key: str
    admin: Admin

    def __repr__(self) -> str:
        """Show the address alone."""
        return f"FirstStart({self.base_url!r})"


class Installation:
    """An open installation: its settings, its engine and its secrets."""

    def __init__(self, settings: Settings, engine: AsyncEngine, secrets: Secrets) -> None:
        self.settings = settings
        self.engine = engine
        self.secrets = secrets
        self.clock = SystemClock()


@contextmanager
def locked(data: Path) -> Iterator[None]:
    """Hold the data folder: whoever sets up, migrates or rotates does it alone.

    Makes the folder, readable by its owner only. Raises `SettingsError` where it cannot be used.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (data / "setup.lock").open("a")
    except OSError as error:
        raise SettingsError(f"The data folder {data} cannot be used: {error.strerror}.") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Installation]:
    """Open an installation that was set up.

    Raises `NotInitialisedError`, `SecretFileError` for the secret file of another installation,
    `SchemaError` and `UnavailableError`.
    """
    if is_untouched(settings):
        raise _not_initialised(settings)
    async with engine_of(settings) as engine:
        async with reading(engine) as connection:
            if await schema.current(connection) is None:
                raise _not_initialised(settings)
            await schema.require_head(connection)
            owner = await installation.fingerprint(connection)
        if owner is None:
            raise _not_initialised(settings)
        yield Installation(settings, engine, secrets_of(settings, owner))


def is_untouched(settings: Settings) -> bool:
    """Say whether the data folder has no database yet; opening SQLite would make one."""
    return settings.database_url is None and not settings.database_file.exists()


@asynccontextmanager
async def engine_of(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """Open the settings' database and close it at the end."""
    engine = open_engine(settings.database)
    try:
        yield engine
    finally:
        await engine.dispose()


def secrets_of(settings: Settings, owner: str) -> Secrets:
    """Load the secret file and see that it is the database's. Raises `SecretFileError`."""
    secrets = secret_file.load(settings.secret_path)
    if secrets.fingerprint != owner:
        raise SecretFileError(
            f"The secret file {settings.secret_path} belongs to another installation than the "
            "database; put back the file the database was set up with."
        )
    return secrets


async def initialise(settings: Settings) -> FirstStart:
    """Set a new installation up. Raises `AlreadyInitialisedError`, showing nothing."""
    async with engine_of(settings) as engine:
        first = await _set_up(settings, engine)
    if first is None:
        raise AlreadyInitialisedError(
            f"{settings.data} is initialised already, and its first key was shown then; make "
            f"another with `meterway key create --user {settings.admin_email}`."
        )
    return first


async def prepare(
    settings: Settings,
    environ: Mapping[str, str],
    providers: Mapping[str, Provider] = PROVIDERS,
) -> FirstStart | None:
    """Do what must be done before serving: tables, first start, declared channels.

    Returns what is to be shown where this was the first start.
    """
    async with engine_of(settings) as engine:
        first = await _set_up(settings, engine)
        async with reading(engine) as connection:
            owner = await installation.fingerprint(connection)
            stored = await routing.stored(connection)
        assert owner is not None, "the installation was set up above"
        box = secrets_of(settings, owner).box
        declared = await _declared(settings, environ, providers, stored)
        now = SystemClock().now()
        async with transaction(engine) as tx:
            for origin, channels in declared.items():
                # An engine that does not answer may be starting still: its channel stays.
                keep = origin is Origin.DETECTED and settings.detect_engines
                await routing.sync(tx, box, channels, providers, origin=origin, now=now, keep=keep)
    return first


async def _declared(
    settings: Settings,
    environ: Mapping[str, str],
    providers: Mapping[str, Provider],
    stored: Sequence[StoredChannel],
) -> dict[Origin, list[NewChannel]]:
    """Return the channels of each origin that is to be followed, strongest first."""
    declared = {Origin.FILE: from_settings(settings.channels)}
    if settings.channels_from_environment:
        declared[Origin.ENVIRONMENT] = from_environment(providers, environ)
    taken = {address_of(row.base_url) for row in stored if row.origin is Origin.CLI}
    taken |= {
        address_of(checks.base_url_of(new, checks.provider_of(new, providers)))
        for channels in declared.values()
        for new in channels
    }
    taken.add(("127.0.0.1", settings.port))  # what still answers there is our predecessor
    transport = open_transport()  # engines of this machine are never behind a proxy
    engines = Engines(providers, transport)
    try:
        named, found = await asyncio.gather(
            engines.with_models(declared.get(Origin.ENVIRONMENT, []), stored),
            engines.detected(environ, taken) if settings.detect_engines else _none(),
        )
    finally:
        await transport.close()
    if Origin.ENVIRONMENT in declared:
        declared[Origin.ENVIRONMENT] = named
    declared[Origin.DETECTED] = found
    return declared


async def _none() -> list[NewChannel]:
    return []


async def upgrade(engine: AsyncEngine) -> bool:
    """Bring the tables to this version, and the list prices; say whether the tables changed."""
    changed = await schema.upgrade(engine)
    async with transaction(engine) as tx:
        await prices.sync(tx, prices.shipped(), now=SystemClock().now())
    return changed


async def _set_up(settings: Settings, engine: AsyncEngine) -> FirstStart | None:
    await upgrade(engine)
    async with reading(engine) as connection:
        if await installation.fingerprint(connection) is not None:
            return None
    secrets = secret_file.create(settings.secret_path)
    try:
        async with transaction(engine) as tx:
            return await _first_rows(tx, settings, secrets)
    except IntegrityError:  # another machine was faster on the same database
        return None


async def _first_rows(tx: AsyncConnection, settings: Settings, secrets: Secrets) -> FirstStart:
    now = SystemClock().now()
    await installation.claim(tx, secrets.fingerprint, now)
    password = random_text(_PASSWORD_LENGTH)
    user = NewUser(email=settings.admin_email, password=password, is_admin=True, postpaid=True)
    user_id = await accounts.create(tx, user, now=now)
    first = NewKey(user_id=user_id, remark="first key")
    _, token = await keys.create(tx, secrets.pepper, first, known=(), now=now)
    return FirstStart(settings.base_url, token, Admin(settings.admin_email, password))


def _not_initialised(settings: Settings) -> NotInitialisedError:
    return NotInitialisedError(
        f"{settings.data} is not initialised; run `meterway serve` or `meterway init` first."
    )
