"""Bodies of the platform's endpoints: JSON or forms, read as the same fields.

In forms everything is text: numbers and booleans are written out, lists are JSON in a text. JSON
may write them so too. A field that is null, or empty in a form, counts as absent.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from meterway.edge.platform.multipart import parts_of
from meterway.kit import moments, money
from meterway.kit.errors import InvalidRequestError
from meterway.kit.money import BadAmountError, Nanos

_MOST_FIELDS = 100
_MOST_NAMES = 1000
_DAY = 86_400  # seconds
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TRUE, _FALSE = frozenset({"true", "1"}), frozenset({"false", "0"})
_URLENCODED, _MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
_decode_names = msgspec.json.Decoder(list[str]).decode
_decode_texts = msgspec.json.Decoder(dict[str, str]).decode
_WANTED = {
    "text": "is a text",
    "flag": "is true or false",
    "names": 'is a list of texts, such as ["gpt-4o"]; in a form, that list as JSON',
    "texts": 'is texts by name, such as {"topic": "x"}; in a form, that object as JSON',
    "moment": "is an ISO 8601 moment, such as 2030-12-31T23:59:59Z",
}


class BadFieldError(InvalidRequestError):
    """A field is missing, or has a value it cannot have."""

    code = "bad_field"

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"`{name}` {problem}.", param=name)


class BadBodyError(InvalidRequestError):
    """The body is neither a JSON object nor a form that can be read."""

    code = "bad_body"


class Fields:
    """The fields of one request; each method reads one, None where it is absent.

    All raise `BadFieldError` for a value that does not fit.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given

    def require(self, *names: str) -> None:
        """Raise `BadFieldError` for the first of `names` that is absent."""
        for name in names:
            if self._given.get(name) is None:
                raise BadFieldError(name, "is required")

    def text(self, name: str) -> str | None:
        """Read a text; a number is taken as it is written."""
        value = self._given.get(name)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        raise BadFieldError(name, _WANTED["text"])

    def flag(self, name: str) -> bool | None:
        """Read a boolean; 1 and 0 will do."""
        value = self._given.get(name)
        if value is None or isinstance(value, bool):
            return value
        text = str(value).lower()
        if text not in _TRUE | _FALSE:
            raise BadFieldError(name, _WANTED["flag"])
        return text in _TRUE

    def whole(self, name: str, least: int, most: int) -> int | None:
        """Read a whole number between two bounds, both included."""
        value = self._given.get(name)
        if value is None:
            return None
        text = "" if isinstance(value, bool) else str(value)
        digits = text.isascii() and text.isdigit() and len(text) <= len(str(most))
        if not digits or not least <= int(text) <= most:
            raise BadFieldError(name, f"is a whole number from {least} to {most}")
        return int(text)

    def names(self, name: str) -> frozenset[str] | None:
        """Read a list of texts."""
        value = self._given.get(name)
        if value is None:
            return None
        try:
            listed = _decode_names(value) if isinstance(value, str) else value
        except (msgspec.DecodeError, UnicodeEncodeError):
            raise BadFieldError(name, _WANTED["names"]) from None
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
            raise BadFieldError(name, _WANTED["names"])
        if len(listed) > _MOST_NAMES:
            raise BadFieldError(name, f"has at most {_MOST_NAMES} names")
        return frozenset(listed)

    def texts(self, name: str) -> dict[str, str] | None:
        """Read texts by name."""
        value = self._given.get(name)
        if value is None:
            return None
        try:
            named = _decode_texts(value) if isinstance(value, str) else value
        except (msgspec.DecodeError, UnicodeEncodeError):
            raise BadFieldError(name, _WANTED["texts"]) from None
        if not isinstance(named, dict) or not all(isinstance(one, str) for one in named.values()):
            raise BadFieldError(name, _WANTED["texts"])
        return named

    def moment(self, name: str) -> float | None:
        """Read a moment as seconds since the epoch; one without a zone is in UTC+8."""
        value = self._given.get(name)
        if value is None:
            return None
        try:
            if not isinstance(value, str):
                raise BadFieldError(name, _WANTED["moment"])
            return moments.read(value)
        except (ValueError, OverflowError):
            raise BadFieldError(name, _WANTED["moment"]) from None

    def day(self, name: str, *, up: bool = False) -> int | None:
        """Read a UTC day as days since the epoch: a date, or the day of a moment.

        With `up` a moment within a day is read as the day after it.
        """
        value = self._given.get(name)
        if isinstance(value, str) and _DATE.fullmatch(value):
            value = f"{value}T00:00:00Z"
        moment = Fields({name: value}).moment(name)
        if moment is None:
            return None
        return int(-(-moment // _DAY)) if up else int(moment // _DAY)

    def amount(self, name: str, units_per_usd: int) -> Nanos | None:
        """Read an amount of the platform's units.

        Raises `BadAmountError` for one that is none, and for one too small to be told from 0:
        where 0 stands for no bound, a bound may not turn into it.
        """
        value = self._given.get(name)
        if value is None:
            return None
        text = "" if isinstance(value, bool) else str(value)
        try:
            amount = money.from_units(text, units_per_usd)
        except BadAmountError as error:
            raise BadAmountError(f"`{name}`: {error.message}", param=name) from None
        if text.strip("0.") and money.units(amount, units_per_usd) == money.units(0, units_per_usd):
            raise BadAmountError(f"`{name}`: the least amount is 0.01 units.", param=name)
        return amount


def read_fields(body: bytes, content_type: str | None) -> Fields:
    """Read a body as JSON or as a form; an empty one has no fields.

    What begins like a JSON object is read as one whatever its type says: `curl -d` says of JSON
    that it is a form. Raises `BadBodyError`.
    """
    kind, _, rest = (content_type or "").partition(";")
    kind = kind.strip().lower()
    if not body.strip():
        return Fields({})
    if kind == _MULTIPART:
        return Fields(_form(_multipart(body, rest)))
    if kind == _URLENCODED and not body.lstrip().startswith(b"{"):
        return Fields(_form(_urlencoded(body)))
    try:
        return Fields(_decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ArithmeticError) as error:
        raise BadBodyError(
            f"The body is not a valid JSON object: {error}. Forms are read too, as "
            f"{_URLENCODED} or {_MULTIPART}."
        ) from None


def query_fields(query: bytes) -> Fields:
    """Read the fields of a query. Raises `BadBodyError`."""
    return Fields(_form(_urlencoded(query)))


def _urlencoded(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"
        )
    except ValueError:  # not UTF-8, or too many
        raise BadBodyError(
            f"The form cannot be read: it is UTF-8, and has at most {_MOST_FIELDS} fields."
        ) from None


def _multipart(body: bytes, parameters: str) -> list[tuple[str, str]]:
    try:
        return parts_of(body, parameters, _MOST_FIELDS)
    except ValueError as error:
        raise BadBodyError(f"The multipart form cannot be read: {error}.") from None


def _form(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Return the fields of a form. Raises `BadFieldError` for one that stands there twice."""
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name in fields:
            raise BadFieldError(name, "stands there twice; send it once")
        fields[name] = value
    return {name: value for name, value in fields.items() if value}
