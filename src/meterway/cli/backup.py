"""`meterway db backup` and `restore`: database and journals together, as one archive."""

import hashlib
import os
import shutil
import sqlite3
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import click
import msgspec

import meterway
from meterway.cli.frame import AlreadyInitialisedError, Frame, NotInitialisedError, common
from meterway.cli.installation import is_untouched, locked
from meterway.cli.moments import shown
from meterway.db import schema
from meterway.kit.clock import SystemClock
from meterway.kit.errors import InvalidRequestError, MeterwayError, UnavailableError
from meterway.ledger.journal import layout
from meterway.ledger.journal import service as journals
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
    parent = archive.absolute().parent
    with _telling_of_disks(), tempfile.TemporaryDirectory(dir=parent) as work:
        folder = Path(work) / "backup"
        folder.mkdir()
        _copy_journals(settings.journals, folder / _JOURNALS)
        _copy_database(settings.database_file, folder / DATABASE_NAME)
        _stand_in(folder)
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
    with (
        _telling_of_disks(),
        locked(settings.data),
        tempfile.TemporaryDirectory(dir=settings.data) as work,
    ):
        _require_stopped(settings)
        folder = Path(work)
        manifest = _unpack(archive, folder)
        aside = _put_aside(settings, force=force)
        _move_all(folder / _JOURNALS, settings.journals)
        (folder / DATABASE_NAME).replace(settings.database_file)
    facts = {"made_at": manifest.made_at, "aside": None if aside is None else str(aside)}
    text = f"The state of {manifest.made_at} is back; run `meterway ledger verify`."
    frame.say(facts, text if aside is None else f"{text} What was there is in {aside}.")


def _require_file(settings: Settings) -> None:
    if settings.database_url is not None:
        raise NotAFileError(
            "This database is not the data folder's own file. Stop the gateway, take its own "
            f"backup (such as pg_dump), and copy {settings.journals} at the same time."
        )


@contextmanager
def _telling_of_disks() -> Iterator[None]:
    """Turn what a disk or the database's file refuses into `UnavailableError`."""
    try:
        yield
    except OSError as error:
        reason = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
        raise UnavailableError(f"The disk refuses: {reason}.") from error
    except sqlite3.Error as error:
        raise UnavailableError(f"The database cannot be copied: {error}.") from error


def _copy_journals(source: Path, target: Path) -> None:
    """Copy what workers have written so far, before the database is copied.

    What is posted and unlinked meanwhile is in the database then; what is written later is of a
    later moment. A record cut by the copy fails its checksum. The other order would copy records
    whose leases the database does not have yet.
    """
    target.mkdir()
    for path in _listed(source):
        copy = target / path.name
        if not path.is_dir():
            shutil.copyfile(path, copy)
            continue
        copy.mkdir()
        for file in _listed(path):
            with suppress(FileNotFoundError):  # posted and deleted a moment ago
                shutil.copyfile(file, copy / file.name)


def _listed(folder: Path) -> list[Path]:
    """Return what lies in a folder but drafts; nothing where it is deleted by now."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []


def _copy_database(source: Path, target: Path) -> None:
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as live,
        closing(sqlite3.connect(target)) as copy,
    ):
        live.backup(copy)


def _stand_in(folder: Path) -> None:
    """Give an empty folder to each journal that began between the two copies.

    Without one its leases would wait for ever; what they paid since is of a later moment.
    """
    known = journals.look(folder / _JOURNALS)
    if known.place is None:
        return
    with closing(sqlite3.connect(folder / DATABASE_NAME)) as copy:
        query = "SELECT name FROM journals WHERE closed_at IS NULL AND place = ?"
        for (name,) in copy.execute(query, (known.place,)).fetchall():
            (folder / _JOURNALS / name).mkdir(exist_ok=True)


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
    except FileNotFoundError:
        raise BrokenBackupError(f"{archive} is no backup: it has no {_MANIFEST}.") from None
    except (tarfile.TarError, zlib.error, EOFError, msgspec.MsgspecError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's fault, not the archive's
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


def _require_stopped(settings: Settings) -> None:
    """Raise `StillRunningError` while a worker holds its journal, or anybody the database."""
    for folder in settings.journals.glob("*/"):
        held = layout.lock(folder)
        if held is None:
            raise _running()
        layout.unlock(held)
    if not is_untouched(settings):
        with closing(sqlite3.connect(settings.database_file, timeout=0)) as database:
            try:
                database.execute("PRAGMA locking_mode = EXCLUSIVE")
                database.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError:
                raise _running() from None
            except sqlite3.DatabaseError:
                return  # it is ruined, which may be why it is restored


def _running() -> StillRunningError:
    return StillRunningError("The gateway runs on this data folder; stop it, then restore.")


def _put_aside(settings: Settings, *, force: bool) -> Path | None:
    """Move what is there out of the way. Raises `AlreadyInitialisedError` without `force`."""
    files = list(settings.data.glob(f"{DATABASE_NAME}*"))
    kept = list(settings.journals.iterdir()) if settings.journals.exists() else []
    if not files and not kept:
        return None
    if not force:
        raise AlreadyInitialisedError(
            f"{settings.data} has a database or journals; `--force` puts them aside and restores."
        )
    aside = settings.data / f"before-restore-{os.getpid()}-{int(SystemClock().now())}"
    aside.mkdir(mode=0o700)
    for path in files:
        path.rename(aside / path.name)
    _move_all(settings.journals, aside / _JOURNALS)
    return aside


def _move_all(source: Path, target: Path) -> None:
    """Move what lies in a folder into another; either may be a disk of its own."""
    target.mkdir(mode=0o700, exist_ok=True)
    if source.exists():
        for path in sorted(source.iterdir()):
            shutil.move(path, target / path.name)
