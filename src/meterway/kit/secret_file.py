"""The installation's secret file: a pepper for ever, and generations of sealing secrets.

One JSON object, mode 0600: `{"pepper": "…", "generations": ["newest …", "older …"]}`, each 32
random bytes in base64. The pepper is never rotated: keys are stored as hashes under it and cannot
be hashed again without being known.
"""

import contextlib
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from meterway.kit.crypto import KEY_BYTES, Box, derive
from meterway.kit.errors import MeterwayError

_FINGERPRINT_BYTES = 8
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class SecretFileError(MeterwayError):
    """The secret file is missing, unreadable or not one."""

    code = "secret_file"


class Secrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file holds; the repr shows nothing of it."""

    pepper: bytes
    generations: tuple[bytes, ...]

    def __repr__(self) -> str:
        """Show how many generations there are."""
        return f"Secrets({len(self.generations)} generations)"

    @property
    def box(self) -> Box:
        """The box that seals with the newest generation and opens all."""
        return Box(self.generations)

    @property
    def fingerprint(self) -> str:
        """A name of this installation that betrays nothing: 16 hex digits."""
        return derive(self.pepper, "meterway installation name", _FINGERPRINT_BYTES).hex()

    @property
    def maker_key(self) -> bytes:
        """The key under which accounts at vendors get the names that clients see."""
        return derive(self.pepper, "meterway makers")

    def rotated(self) -> "Secrets":
        """Return the same with a fresh newest generation."""
        return Secrets(self.pepper, (secrets.token_bytes(KEY_BYTES), *self.generations))

    def settled(self) -> "Secrets":
        """Return the same with the newest generation alone."""
        return Secrets(self.pepper, self.generations[:1])


def load(path: Path) -> Secrets:
    """Read the file. Raises `SecretFileError`, never repeating what it holds."""
    try:
        held = msgspec.json.decode(path.read_bytes(), type=Secrets)
    except FileNotFoundError:
        raise SecretFileError(
            f"There is no secret file at {path}; run `meterway init` for a new installation, or "
            "put back the file this one was made with."
        ) from None
    except OSError as error:
        raise SecretFileError(f"Cannot read {path}: {error.strerror}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise SecretFileError(f"{path} is not a secret file of Meterway.") from None
    if not held.generations or any(len(s) < KEY_BYTES for s in (held.pepper, *held.generations)):
        raise SecretFileError(f"{path} is not a whole secret file of Meterway.")
    return held


def create(path: Path) -> Secrets:
    """Make a new file, or return the one that is there: of two makers at once, one wins.

    Raises `SecretFileError` where the file cannot be written or read.
    """
    fresh = Secrets(secrets.token_bytes(KEY_BYTES), (secrets.token_bytes(KEY_BYTES),))
    with _written(path, fresh) as draft, contextlib.suppress(FileExistsError):
        os.link(draft, path)  # unlike a rename, never replaces what is there
    return load(path)


def replace(path: Path, held: Secrets) -> None:
    """Put `held` in the place of the file, all at once. Raises `SecretFileError`."""
    with _written(path, held) as draft:
        draft.replace(path)


def is_private(path: Path) -> bool:
    """Say whether nobody but the owner may read the file; False where it is missing."""
    try:
        return not path.stat().st_mode & _OTHERS
    except OSError:
        return False


@contextlib.contextmanager
def _written(path: Path, held: Secrets) -> Iterator[Path]:
    """Give a draft next to `path`, readable by its owner only and safe on the disk."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".secret-")
        draft = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.encode(held))
                file.flush()
                os.fsync(handle)
            yield draft
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise SecretFileError(f"Cannot write {path}: {error.strerror}.") from None
