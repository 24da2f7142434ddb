"""What every command shares: its common options, its output, its errors and exit codes."""

import asyncio
import functools
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import click
import msgspec

from meterway.db.errors import DatabaseAddressError, SchemaError
from meterway.kit.crypto import SealError
from meterway.kit.errors import (
    InvalidRequestError,
    MeterwayError,
    NotFoundError,
    UnavailableError,
)
from meterway.kit.secret_file import SecretFileError
from meterway.settings import Settings, SettingsError, load

_FAILED, _CONFLICT = 1, 409
_EXIT_CODES: tuple[tuple[tuple[type[MeterwayError], ...], int], ...] = (
    ((InvalidRequestError, SettingsError, DatabaseAddressError), 2),
    ((NotFoundError,), 3),
    ((SecretFileError, SealError), 5),
    ((UnavailableError, SchemaError), 6),
)
P = ParamSpec("P")
T = TypeVar("T")


class AlreadyInitialisedError(MeterwayError):
    """The data folder was set up before; its secrets were shown then."""

    status, code = 409, "already_initialised"


class NotInitialisedError(SecretFileError):
    """There is nothing in the data folder yet."""

    code = "not_initialised"


class Failure(click.ClickException):
    """An expected error: one sentence on standard error, and an exit code that says which."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        vars(self)["exit_code"] = exit_code  # click declares it of the class and reads it here


def exit_code_of(error: MeterwayError) -> int:
    """Return the exit code of an error."""
    if error.status == _CONFLICT:
        return 4
    return next((code for kinds, code in _EXIT_CODES if isinstance(error, kinds)), _FAILED)


class Frame:
    """One run of a command: how to answer, and the settings it was given."""

    def __init__(self, flags: Mapping[str, Any], config: Path | None, *, as_json: bool) -> None:
        self._flags = dict(flags)
        self._config = config
        self.as_json = as_json

    def settings(self, **flags: Any) -> Settings:
        """Read the settings, with a command's own flags above all. Raises `SettingsError`."""
        return load({**self._flags, **flags}, config=self._config)

    def say(self, value: Any, text: str) -> None:
        """Answer: `value` as JSON where that was asked, else `text`."""
        if self.as_json:
            click.echo(msgspec.json.encode(value).decode())
        elif text:
            click.echo(text)

    def say_table(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
        """Answer with rows: all their facts as JSON, or the named columns in a table."""
        if self.as_json:
            click.echo(msgspec.json.encode(rows).decode())
            return
        lines = [[column.upper().replace("_", " ") for column in columns]]
        lines += [[_cell(row[column]) for column in columns] for row in rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
        for line in lines:
            padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            click.echo("  ".join(padded).rstrip())


def _cell(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(map(str, value)) or "-"
        case _:
            return str(value)


def common(function: Callable[Concatenate[Frame, P], T]) -> Callable[..., T]:
    """Give a command `--data`, `--config` and `--json`, and make its errors sentences."""

    @click.option(
        "--data", type=click.Path(path_type=Path), help="Data folder; METERWAY_DATA names one too."
    )
    @click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Settings file in TOML or YAML; METERWAY_CONFIG names one too.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
    @functools.wraps(function)
    def run_command(
        data: Path | None,
        config: Path | None,
        as_json: bool,  # noqa: FBT001 - click passes options by name
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        try:
            return function(Frame({"data": data}, config, as_json=as_json), *args, **kwargs)
        except MeterwayError as error:
            raise Failure(error.message, exit_code_of(error)) from error

    return run_command


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's asynchronous part."""
    return asyncio.run(work)


def secret_from(value: str) -> str:
    """Return an option's value; `-` reads one line of standard input, off the process list."""
    if value != "-":
        return value
    line = sys.stdin.readline().strip()
    if not line:
        raise click.UsageError("There is nothing on standard input, where `-` looks for a value.")
    return line
