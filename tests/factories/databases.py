"""Where tests keep their databases."""

from pathlib import Path


def sqlite_url(file: Path) -> str:
    """Return the URL of a SQLite file."""
    return f"sqlite:///{file}"
