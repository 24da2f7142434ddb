"""`meterway doctor`: each thing that can be wrong, whether it is, and what to do about it."""

import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Literal

import click
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.cli.config import unknown_variables
from meterway.cli.frame import Failure, Frame, common, run
from meterway.cli.installation import engine_of, is_untouched, secrets_of
from meterway.cli.unpriced import told, unpriced
from meterway.db import installation, schema
from meterway.db.engine import reading
from meterway.kit.crypto import Box
from meterway.kit.errors import MeterwayError
from meterway.kit.secret_file import is_private
from meterway.routing import service as routing
from meterway.settings import Settings
from meterway.upstreams.providers import PROVIDERS

_FREE_BYTES = 256 * 1024 * 1024
_BUILT = datetime(2026, 1, 1, tzinfo=UTC)


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at; `advice` says what to do where it is not ok."""

    subject: str
    state: Literal["ok", "warning", "wrong"]
    fact: str
    advice: str = ""


@click.command()
@common
def doctor(frame: Frame) -> None:
    """Look for what is wrong and say what to do; fails where something is wrong."""
    findings = run(_examined(frame.settings()))
    frame.say(findings, "\n".join(map(_line, findings)))
    wrong = sum(finding.state == "wrong" for finding in findings)
    if wrong:
        raise Failure(f"{wrong} of {len(findings)} checks failed.", 1)


def _line(finding: Finding) -> str:
    advice = f" → {finding.advice}" if finding.advice else ""
    return f"{finding.state:<8} {finding.subject:<12} {finding.fact}{advice}"


async def _examined(settings: Settings) -> list[Finding]:
    if is_untouched(settings):
        fact = f"{settings.data} is not initialised"
        return [Finding("setup", "wrong", fact, "run `meterway serve`")]
    findings = list(_machine(settings))
    try:
        findings += [finding async for finding in _installation(settings)]
    except MeterwayError as error:
        findings.append(Finding("database", "wrong", error.message))
    return findings


def _machine(settings: Settings) -> Iterator[Finding]:
    yield _folder(settings)
    yield _secret(settings)
    now = datetime.now(UTC)
    clock = Finding("clock", "ok", now.isoformat(timespec="seconds"))
    yield clock if now > _BUILT else Finding("clock", "wrong", clock.fact, "set the clock: use NTP")
    unknown = unknown_variables()
    if unknown:
        fact = f"no such settings: {', '.join(unknown)}"
        yield Finding("environment", "warning", fact, "`meterway config show` names all settings")


def _folder(settings: Settings) -> Finding:
    if not settings.data.is_dir():
        return Finding("data", "wrong", f"{settings.data} is missing", "run `meterway serve`")
    free = shutil.disk_usage(settings.data).free
    if free < _FREE_BYTES:
        return Finding("data", "warning", f"{free // 2**20} MB are free", "make room on the disk")
    return Finding("data", "ok", str(settings.data))


def _secret(settings: Settings) -> Finding:
    path = settings.secret_path
    if not path.exists():
        return Finding("secret", "wrong", f"{path} is missing", "put it back from a backup")
    if not is_private(path):
        return Finding("secret", "warning", f"others may read {path}", f"run `chmod 600 {path}`")
    return Finding("secret", "ok", str(path))


async def _installation(settings: Settings) -> AsyncIterator[Finding]:
    async with engine_of(settings) as engine, reading(engine) as connection:
        yield Finding("database", "ok", engine.dialect.name)
        version = await schema.current(connection)
        if version != schema.HEAD:
            fact = f"at {version or 'no version'}, not {schema.HEAD}"
            yield Finding("tables", "wrong", fact, "run `meterway db upgrade`")
            return
        yield Finding("tables", "ok", f"at {version}")
        owner = await installation.fingerprint(connection)
        if owner is None:
            yield Finding("setup", "wrong", "not initialised", "run `meterway serve`")
            return
        box = secrets_of(settings, owner).box
        async for finding in _channels(connection, box):
            yield finding


async def _channels(connection: AsyncConnection, box: Box) -> AsyncIterator[Finding]:
    for row in await routing.stored(connection):
        if row.provider not in PROVIDERS:
            fact = f"'{row.name}' follows '{row.provider}', which this version does not know"
            yield Finding("channel", "wrong", fact, "remove it, or install a newer version")
    channels = await routing.list_channels(connection, box, PROVIDERS)
    enabled = sum(channel.enabled for channel in channels)
    fact = f"{enabled} of {len(channels)} enabled"
    if await routing.ever_had_real_channel(connection):
        none = "enable one with `meterway channel enable NAME`" if channels else "add one"
        yield Finding("channels", "ok" if enabled else "warning", fact, "" if enabled else none)
    else:
        advice = "add one with `meterway channel add`; until then the sandbox answers"
        yield Finding("channels", "warning", fact, advice)
    for name, models in (await unpriced(connection, channels)).items():
        fact, command = told(models)
        yield Finding("prices", "warning", f"of '{name}', {fact}", f"run {command}")
