"""The one collection of tables, and the column types every slice uses."""

from typing import Any

import msgspec
from sqlalchemy import BigInteger, Integer, MetaData, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = BigInteger().with_variant(Integer(), "sqlite")
"""A row's number; SQLite numbers rows by itself only where the type is plain INTEGER."""

Millis = BigInteger
"""A moment: whole milliseconds since the epoch, UTC."""


class Json(TypeDecorator[Any]):
    """A small JSON value kept as text, the same on every engine; NULL is None."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> str | None:
        """Encode what is stored."""
        del dialect
        return None if value is None else msgspec.json.encode(value).decode()

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any | None:
        """Decode what was stored."""
        del dialect
        return None if value is None else msgspec.json.decode(value)


def to_millis(seconds: float) -> int:
    """Turn a moment of `kit.clock` into what is stored."""
    return round(seconds * 1000)


def to_seconds(millis: int) -> float:
    """Turn a stored moment into one of `kit.clock`."""
    return millis / 1000
