"""Secrets at rest: sealed boxes bound to their place, and keyed hashes.

A box is AES-256-GCM with a random 96-bit nonce (NIST SP 800-38D); subkeys come from HKDF-SHA-256
(RFC 5869). The key of a box is named in its text, so that several generations can be read while
only the newest is written.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from meterway.kit.errors import MeterwayError

KEY_BYTES = 32
_NONCE_BYTES = 12
_NAME_BYTES = 6
_PSEUDONYM_BYTES = 9
_FORM = "b1"


class SealError(MeterwayError):
    """A sealed value cannot be opened: other secret, other place, or changed bytes."""

    code = "sealed_value"


def derive(secret: bytes, purpose: str, length: int = KEY_BYTES) -> bytes:
    """Return the subkey of `secret` for one purpose; purposes tell nothing of each other."""
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=purpose.encode()).derive(secret)


def key_hash(pepper: bytes, key: str) -> bytes:
    """Return the HMAC-SHA-256 under which an API key is stored and found, 32 bytes."""
    return hmac.digest(pepper, key.encode("utf-8", "surrogateescape"), hashlib.sha256)


def pseudonym(key: bytes, *facts: str) -> str:
    """Return a name of 12 characters of base64url for `facts`, which tells nobody what they are."""
    mac = hmac.digest(key, "\0".join(facts).encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(mac[:_PSEUDONYM_BYTES]).decode()


class Box:
    """Seals small secrets into text for one `table.column:row`, and opens them there only.

    The first of `generations` seals; all of them open. The repr shows no key.
    """

    def __init__(self, generations: Sequence[bytes]) -> None:
        if not generations or any(len(secret) < KEY_BYTES for secret in generations):
            raise ValueError(f"a box needs secrets of at least {KEY_BYTES} bytes")
        self._ciphers: dict[str, AESGCM] = {}
        for secret in generations:
            name = derive(secret, "meterway box name", _NAME_BYTES).hex()
            self._ciphers.setdefault(name, AESGCM(derive(secret, "meterway box key")))
        self._newest = next(iter(self._ciphers))

    def __repr__(self) -> str:
        """Show how many generations it opens."""
        return f"Box({len(self._ciphers)} generations)"

    def seal(self, plain: bytes, place: str) -> str:
        """Return `plain` sealed for `place`, such as `channels.credentials:7`."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._ciphers[self._newest].encrypt(nonce, plain, _bound(self._newest, place))
        return f"{_FORM}.{self._newest}.{base64.b64encode(nonce + sealed).decode()}"

    def open(self, text: str, place: str) -> bytes:
        """Return what was sealed for `place`. Raises `SealError`."""
        form, _, rest = text.partition(".")
        name, _, body = rest.partition(".")
        cipher = self._ciphers.get(name)
        if form != _FORM or cipher is None:
            raise SealError(
                f"The value at {place} was sealed with a secret this installation does not have; "
                "put back the secret file it was made with."
            )
        try:
            data = base64.b64decode(body, validate=True)
            return cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], _bound(name, place))
        except (InvalidTag, ValueError, binascii.Error):
            raise SealError(
                f"The value at {place} is damaged or was moved there from another row."
            ) from None

    def reseal(self, text: str, place: str) -> str:
        """Return the same secret sealed by the newest generation. Raises `SealError`."""
        return self.seal(self.open(text, place), place)


def _bound(name: str, place: str) -> bytes:
    return f"{_FORM}.{name}.{place}".encode()
