"""Proofs of reasoning, and whose they are: a vendor refuses another's.

Where a dialect's signatures may come back over another's clients, they travel sealed: named by
the dialect that can read them, as `gemini.SIGNATURE`. An upstream of another dialect is not shown
them. What bears no name is its own dialect's, as it came.
"""

from meterway.protocols.dialects import Dialect

_MARK = "."  # no base64 has it
_SEALED = tuple(f"{dialect.value}{_MARK}" for dialect in Dialect)


def sealed(signature: str, dialect: Dialect) -> str:
    """Name the dialect of `signature`."""
    return f"{dialect.value}{_MARK}{signature}"


def unsealed(signature: str | None, dialect: Dialect) -> str | None:
    """Return what `sealed` was given; None for what another dialect signed, or nobody."""
    mark = f"{dialect.value}{_MARK}"
    if signature is None or not signature.startswith(mark):
        return None
    return signature.removeprefix(mark)


def is_sealed(signature: str) -> bool:
    """Whether a signature names its dialect."""
    return signature.startswith(_SEALED)
