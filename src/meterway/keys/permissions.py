"""What a key may do: a pure question over the names on its list."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from meterway.keys.errors import UnknownPermissionError

_TOLD, _TOLD_LENGTH = 10, 80
CAPABILITIES: Final = frozenset({"file-v1"})
"""What a key may be allowed besides models and their families."""


def allows(
    permissions: Collection[str] | None,
    model_id: str | None,
    family: str | None = None,
    capabilities: Iterable[str] = (),
) -> bool:
    """Say whether a key with this list may use a model and the capabilities it takes.

    None means everything. A listed model or a listed family covers the model; each capability
    (such as `file-v1`) must be listed itself. `model_id` None asks about capabilities alone.
    """
    if permissions is None:
        return True
    if model_id is not None and model_id not in permissions and family not in permissions:
        return False
    return all(capability in permissions for capability in capabilities)


def checked(names: Iterable[str], known: Collection[str]) -> frozenset[str] | None:
    """Return the list to store: None (everything) for an empty one.

    Raises `UnknownPermissionError` for a name that is neither a model, a family nor a
    capability in `known`: a mistyped name would silently allow nothing.
    """
    asked = frozenset(names)
    unknown = sorted(asked.difference(known))
    if unknown:
        raise UnknownPermissionError(
            f"Unknown permissions: {_listed(unknown)}. Use names of models, model families or "
            "capabilities; an empty list allows everything.",
            param="permissions",
        )
    return asked or None


def _listed(names: Sequence[str]) -> str:
    """Name the first few; they are the caller's own, and may be many and long."""
    told = ", ".join(name[:_TOLD_LENGTH] for name in names[:_TOLD])
    return told if len(names) <= _TOLD else f"{told} and {len(names) - _TOLD} more"
