"""Which channels the environment and the settings file declare."""

import pytest

from meterway.cli.declared import from_environment, from_settings
from meterway.routing import checks
from meterway.routing.errors import BadChannelError
from meterway.routing.types import Origin
from meterway.settings import load
from meterway.upstreams.providers import PROVIDERS


def _declared(**environ):
    return {channel.name: channel for channel in from_environment(PROVIDERS, environ)}


@pytest.mark.parametrize(
    ("variable", "name"),
    [(row.key_env, row.name) for row in PROVIDERS.values() if row.key_env and row.base_url],
)
def test_each_vendor_key_declares_its_channel(variable, name):
    declared = _declared(**{variable: " canary "})

    assert declared[name].secrets == ("canary",)
    assert declared[name].origin is Origin.ENVIRONMENT


@pytest.mark.parametrize(
    "name", [row.name for row in PROVIDERS.values() if row.key_env or row.url_env]
)
def test_what_is_declared_can_be_stored(name):
    row = PROVIDERS[name]
    environ = {row.key_env or "": "k", row.url_env or "": "http://127.0.0.1:5"}

    channel = {c.name: c for c in from_environment(PROVIDERS, environ)}[name]

    checks.check(channel, row)
    assert checks.base_url_of(channel, row)


def test_empty_environment_declares_nothing():
    assert _declared() == {}
    assert _declared(OPENAI_API_KEY="", OLLAMA_HOST=" ") == {}


def test_row_without_an_address_needs_both_variables():
    without = _declared(AZURE_OPENAI_API_KEY="k")
    with_both = _declared(AZURE_OPENAI_API_KEY="k", AZURE_OPENAI_ENDPOINT="https://r.azure.com")

    assert without == {}
    assert with_both["azure-openai"].base_url == "https://r.azure.com"


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1:11434", "http://127.0.0.1:11434"])
def test_local_engine_is_declared_by_its_address(address):
    declared = _declared(OLLAMA_HOST=address)

    assert declared["ollama"].base_url == "http://127.0.0.1:11434"
    assert declared["ollama"].secrets == ()


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "http://[bad", "host:port"])
def test_address_that_is_none_is_one_sentence(address):
    with pytest.raises(BadChannelError, match="OLLAMA_HOST is no address"):
        _declared(OLLAMA_HOST=address)


def test_channels_of_the_file_keep_all_their_facts():
    table = {
        "name": "a",
        "provider": "openai",
        "api_key": "k1",
        "api_keys": ["k2"],
        "models": ["m"],
        "headers": {"X-A": "b"},
        "idle_timeout": 3,
        "priority": 1,
        "weight": 2,
        "prefix": "p",
        "enabled": False,
    }

    [channel] = from_settings(load({"channels": [table]}, environ={}).channels)

    assert (channel.secrets, channel.models) == (("k1", "k2"), {"m": "m"})
    assert (channel.headers, channel.timeouts) == ({"X-A": "b"}, {"idle": 3.0})
    assert (channel.priority, channel.weight, channel.prefix) == (1, 2, "p")
    assert (channel.enabled, channel.origin) == (False, Origin.FILE)


def test_models_of_the_file_may_be_renamed():
    table = {"name": "a", "provider": "openai", "api_key": "k", "models": {"ours": "theirs"}}

    [channel] = from_settings(load({"channels": [table]}, environ={}).channels)

    assert channel.models == {"ours": "theirs"}
