"""Where settings come from: environment variables, and a TOML or YAML file with `${NAME}` in it."""

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from meterway.kit.errors import MeterwayError

PREFIX = "METERWAY_"
CONFIG = "METERWAY_CONFIG"
_STRUCTURED = {  # what they are in JSON
    "channels": "list",
    "limits": "object",
    "membership_prices": "object",
}
_REFERENCE = re.compile(r"\$(?:\$|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\})")


class SettingsError(MeterwayError):
    """A setting is unknown or has a value that cannot be used."""

    code = "bad_settings"


class Environment:
    """The settings found in environment variables; names are compared as they are written."""

    def __init__(self, fields: Mapping[str, FieldInfo], variables: Mapping[str, str]) -> None:
        self._fields = fields
        self.variables = variables

    def named_file(self) -> str | None:
        """Return the settings file the environment names, if any."""
        return self.variables.get(CONFIG) or None

    def values(self) -> dict[str, Any]:
        """Return what is set, by the setting's name; an empty variable counts as unset.

        Raises `SettingsError` where a `_FILE` cannot be read or what must be JSON is not.
        """
        found: dict[str, Any] = {}
        for name, field in self._fields.items():
            text = self._text(name, field)
            if text is not None:
                found[name] = _structured(name, text) if name in _STRUCTURED else text
        return found

    def unknown(self) -> list[str]:
        """Return the METERWAY_ variables that are no setting: mostly typing mistakes."""
        known = {CONFIG}
        for name, field in self._fields.items():
            known.update(variable for variable, _ in _names(name, field))
        return sorted(v for v in self.variables if v.startswith(PREFIX) and v not in known)

    def _text(self, name: str, field: FieldInfo) -> str | None:
        for variable, is_file in _names(name, field):
            value = self.variables.get(variable)
            if value:
                return _contents(variable, value) if is_file else value
        return None


def _names(name: str, field: FieldInfo) -> list[tuple[str, bool]]:
    """List the variables of one setting, the strongest first, and which of them name a file."""
    extra = field.json_schema_extra
    common = extra.get("environment", []) if isinstance(extra, dict) else []
    plain = [PREFIX + name.upper(), *(str(other) for other in _listed(common))]
    names = [(variable, False) for variable in plain]
    if is_secret(field):
        names += [(f"{variable}_FILE", True) for variable in plain]
    return names


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def is_secret(field: FieldInfo) -> bool:
    """Say whether a setting's value must not be shown."""
    return SecretStr in (field.annotation, *getattr(field.annotation, "__args__", ()))


def _contents(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"The file that {variable} names cannot be read.") from None


def _structured(name: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        kind = _STRUCTURED[name]
        raise SettingsError(f"{PREFIX}{name.upper()} must be a JSON {kind}.") from None


def read_file(
    path: Path, fields: Mapping[str, FieldInfo], variables: Mapping[str, str]
) -> dict[str, Any]:
    """Read a settings file, TOML by `.toml`, YAML by `.yaml` or `.yml`; expand `${NAME}`.

    `${NAME:-default}` gives what stands where the variable is unset; `$$` is a dollar.
    Raises `SettingsError` naming the unknown key, the unset variable or the broken line.
    """
    document = _parsed(path)
    for key in document:
        if key not in fields:
            close = difflib.get_close_matches(str(key), fields, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            raise SettingsError(f"Unknown setting '{key}' in {path.name}.{hint}")
    return {key: _expanded(value, key, variables) for key, value in document.items()}


def _parsed(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"The settings file {path} cannot be read.") from None
    if path.suffix == ".toml":
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{path.name} is not valid TOML: {error}.") from None
    if path.suffix in {".yaml", ".yml"}:
        return _parsed_yaml(path, text)
    raise SettingsError(f"A settings file ends in .toml, .yaml or .yml, unlike {path.name}.")


def _parsed_yaml(path: Path, text: str) -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - only those who keep their settings in YAML pay for it

    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise SettingsError(f"{path.name} is not valid YAML{where}.") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise SettingsError(f"{path.name} must be a table of settings.")
    return document


def _expanded(value: Any, where: str, variables: Mapping[str, str]) -> Any:
    match value:
        case str():
            return _REFERENCE.sub(lambda found: _replacement(found, where, variables), value)
        case list():
            return [_expanded(v, f"{where}.{i}", variables) for i, v in enumerate(value)]
        case dict():
            return {k: _expanded(v, f"{where}.{k}", variables) for k, v in value.items()}
        case _:
            return value


def _replacement(found: re.Match[str], where: str, variables: Mapping[str, str]) -> str:
    name, default = found["name"], found["default"]
    if name is None:
        return "$"
    value = variables.get(name) or default
    if value is None:
        raise SettingsError(f"Setting '{where}' asks for ${{{name}}}, which is not set.")
    return value
