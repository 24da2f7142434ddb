"""`meterway config …`."""

import os
import re
from typing import Any

import click
from pydantic import SecretStr

from meterway.cli.declared import from_settings
from meterway.cli.frame import Frame, common
from meterway.db.engine import address
from meterway.routing import checks
from meterway.settings import Settings
from meterway.settings.sources import Environment
from meterway.upstreams.providers import PROVIDERS

_PASSWORD = re.compile(r"(?<=://)[^/@]*@")
_MASK = "***"


@click.group()
def config() -> None:
    """Check and show the settings."""


@config.command()
@common
def check(frame: Frame) -> None:
    """Say whether the settings can be used, and which variables are no settings."""
    settings = frame.settings()
    address(settings.database)
    for declared in from_settings(settings.channels):
        provider = checks.provider_of(declared, PROVIDERS)
        checks.check(declared, provider)
        checks.base_url_of(declared, provider)
    unknown = unknown_variables()
    text = "The settings can be used."
    if unknown:
        text += f" These variables are no settings: {', '.join(unknown)}."
    frame.say({"ok": True, "unknown_variables": unknown}, text)


@config.command()
@common
def show(frame: Frame) -> None:
    """Show every setting in use, secrets masked."""
    facts = facts_of(frame.settings())
    width = max(map(len, facts))
    frame.say(facts, "\n".join(f"{name:<{width}}  {value}" for name, value in facts.items()))


def unknown_variables() -> list[str]:
    """Return the METERWAY_ variables of the environment that are no setting."""
    return Environment(Settings.model_fields, os.environ).unknown()


def facts_of(settings: Settings) -> dict[str, Any]:
    """Return every setting by name, fit to be shown."""
    facts = {name: _shown(getattr(settings, name)) for name in Settings.model_fields}
    facts["database_url"] = _PASSWORD.sub(f"{_MASK}@", settings.database)
    facts["secret_file"] = str(settings.secret_path)
    facts["public_url"] = settings.base_url
    return facts


def _shown(value: Any) -> Any:
    match value:
        case SecretStr():
            return _MASK
        case list():
            return [channel.name for channel in value]
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)
