"""`meterway db backup` and `restore`: database and journals together, as one archive."""

import hashlib
import os
import shutil
import sqlite3
import tarfile
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import click
import msgspec

import meterway
from meterway.cli.frame import AlreadyInitialisedError, Frame, NotInitialisedError, common
from meterway.cli.installation import is_untouched, locked
from meterway.cli.moments import shown
from meterway.db import schema
from meterway.kit.clock import SystemClock
from meterway.kit.errors import InvalidRequestError, MeterwayError
from meterway.ledger.journal import layout
from meterway.settings import DATABASE_NAME, Settings

_MANIFEST, _JOURNALS = "manifest.json", "journals"
_BLOCK = 1 << 20


class NotAFileError(InvalidRequestError):
    """The database is no SQLite file, so it has tools of its own for this."""

    code = "backup_not_a_file"


class BrokenBackupError(InvalidRequestError):
    """The archive is no backup of ours, is damaged, or is of a newer program."""

    code = "backup_broken"


class StillRunningError(MeterwayError):
    """A gateway runs on the data folder."""

    status, code = 409, "gateway_running"


class _Manifest(msgspec.Struct, frozen=True):
    """What an archive says of itself; `digests` are SHA-256 by name."""

    program: str
    tables: str
    made_at: str | None
    digests: dict[str, str]


@click.command()
@click.argument("archive", type=click.Path(path_type=Path, dir_okay=False))
@common
def backup(frame: Frame, archive: Path) -> None:
    """Write database and journals, of one moment, into a new ARCHIVE; the gateway may run.

    The secret file is not in it: without it the archive gives away no credential, and keep it
    apart, for without it credentials and keys cannot be restored.
    """
    settings = frame.settings()
    _require_file(settings)
    if is_untouched(settings):
        raise NotInitialisedError(f"{settings.data} has no database to back up.")
    if archive.exists():
        raise AlreadyInitialisedError(f"{archive} is there already; name a new file.")
    with tempfile.TemporaryDirectory(dir=archive.absolute().parent) as work:
        folder = Path(work) / "backup"
        folder.mkdir()
        _copy_journals(settings.journals, folder / _JOURNALS)
        _copy_database(settings.database_file, folder / DATABASE_NAME)
        _pack(folder, Path(work) / "archive")
        (Path(work) / "archive").replace(archive)
    size = archive.stat().st_size
    facts = {"archive": str(archive), "bytes": size, "secret_file": str(settings.secret_path)}
    text = f"{archive} holds the database and the journals. Keep {settings.secret_path} apart."
    frame.say(facts, text)


@click.command()
@click.argument("archive", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--force", is_flag=True, help="Put what is there aside, as `before-restore-…`.")
@common
def restore(frame: Frame, archive: Path, *, force: bool) -> None:
    """Put the database and the journals of ARCHIVE into the data folder; stop the gateway first.

    What workers had written and nobody had posted is posted at the next start. Run `meterway
    ledger verify` afterwards.
    """
    settings = frame.settings()
    _require_file(settings)
    with locked(settings.data), tempfile.TemporaryDirectory(dir=settings.data) as work:
        _require_stopped(settings.journals)
        folder = Path(work)
        manifest = _unpack(archive, folder)
        aside = _put_aside(settings, force=force)
        (folder / DATABASE_NAME).replace(settings.database_file)
        shutil.move(folder / _JOURNALS, settings.journals)
    facts = {"made_at": manifest.made_at, "aside": None if aside is None else str(aside)}
    text = f"The state of {manifest.made_at} is back; run `meterway ledger verify`."
    frame.say(facts, text if aside is None else f"{text} What was there is in {aside}.")


def _require_file(settings: Settings) -> None:
    if settings.database_url is not None:
        raise NotAFileError(
            "This database is not the data folder's own file. Stop the gateway, take its own "
            f"backup (such as pg_dump), and copy {settings.journals} at the same time."
        )


def _copy_journals(source: Path, target: Path) -> None:
    """Copy what workers have written so far, before the database is copied.

    What is posted and unlinked meanwhile is in the database then; what is written later is of a
    later moment. A record cut by the copy fails its checksum.
    """
    target.mkdir()
    for path in sorted(source.rglob("*")):
        copy = target / path.relative_to(source)
        with suppress(FileNotFoundError):
            if path.is_dir():
                copy.mkdir()
            else:
                shutil.copyfile(path, copy)


def _copy_database(source: Path, target: Path) -> None:
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as live,
        closing(sqlite3.connect(target)) as copy,
    ):
        live.backup(copy)


def _pack(folder: Path, archive: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    manifest = _Manifest(
        program=meterway.__version__,
        tables=schema.HEAD,
        made_at=shown(SystemClock().now()),
        digests={str(path.relative_to(folder)): _digest(path) for path in files},
    )
    (folder / _MANIFEST).write_bytes(msgspec.json.encode(manifest))
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)
    archive.chmod(0o600)


def _unpack(archive: Path, folder: Path) -> _Manifest:
    """Unpack and check an archive. Raises `BrokenBackupError`; nothing was changed then."""
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        manifest = msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=_Manifest)
    except (tarfile.TarError, OSError, EOFError, msgspec.MsgspecError) as error:
        raise BrokenBackupError(f"{archive} is not a whole backup: {error}.") from None
    for name, digest in manifest.digests.items():
        if not (folder / name).is_file() or _digest(folder / name) != digest:
            raise BrokenBackupError(f"{archive} is damaged: {name} is not what was backed up.")
    if manifest.tables > schema.HEAD or DATABASE_NAME not in manifest.digests:
        raise BrokenBackupError(
            f"{archive} was made by Meterway {manifest.program}, which is newer; install that."
        )
    (folder / _JOURNALS).mkdir(exist_ok=True)
    return manifest


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require_stopped(journals: Path) -> None:
    """Raise `StillRunningError` while a worker holds its journal."""
    for folder in journals.glob("*/"):
        held = layout.lock(folder)
        if held is None:
            raise StillRunningError("The gateway runs on this data folder; stop it, then restore.")
        layout.unlock(held)


def _put_aside(settings: Settings, *, force: bool) -> Path | None:
    """Move what is there out of the way. Raises `AlreadyInitialisedError` without `force`."""
    there = [*settings.data.glob(f"{DATABASE_NAME}*"), settings.journals]
    there = [path for path in there if path.exists()]
    if not settings.database_file.exists() and not force:
        return None
    if not force:
        raise AlreadyInitialisedError(
            f"{settings.data} has a database; `--force` puts it aside and restores."
        )
    aside = settings.data / f"before-restore-{os.getpid()}-{int(SystemClock().now())}"
    aside.mkdir(mode=0o700)
    for path in there:
        path.rename(aside / path.name)
    return aside
