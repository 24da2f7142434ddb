"""The forwarding services: vendors' routes once more, each service on a billing channel of its own.

Their paths lie under `/api/`, their clients are the vendors': they are answered in a vendor's
dialect, and the accidents of base URLs are forgiven as under `/v1`.
"""

from typing import Final

_FOLDER: Final = "/api/v1/ai/openai/"

CLAUDE_CODE, CODEX = "cc-omg", "codex-omg"
"""The names of the services: in their paths, and of their billing channels."""


def path(service: str, rest: str) -> str:
    """Return the path of a service's route, `rest` beginning with a slash."""
    return f"{_FOLDER}{service}{rest}"


def split(asked: str) -> tuple[str, str]:
    """Cut a path into a service's base and what follows; the base is empty for all other paths."""
    for service in (CLAUDE_CODE, CODEX):
        base = _FOLDER + service
        if asked == base or asked.startswith(f"{base}/"):
            return base, asked[len(base) :]
    return "", asked
