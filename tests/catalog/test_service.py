"""The catalogue: who is found by which name, and what ships."""

import subprocess
import sys

import pytest

from meterway.catalog.families import family_of
from meterway.catalog.service import Catalog
from meterway.catalog.types import Model

SHIPPED = Catalog()


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("claude-3-opus", "claude-3-opus"),
        ("claude-3-opus-20240229", "claude-3-opus"),
        ("claude-3-opus-latest", "claude-3-opus"),
        ("claude-3-opus@20240229", "claude-3-opus"),
        ("anthropic/claude-3.5-sonnet", "claude-3-5-sonnet"),
        ("claude-opus-4-7-20991231", "claude-opus-4-7"),
        ("gpt-4o-mini", "gpt-4o-mini"),
        ("GPT-4o-Mini", "gpt-4o-mini"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4.1-2031-01-01", "gpt-4.1"),
        ("openai/gpt-4o", "gpt-4o"),
        ("ft:gpt-4o-mini:acemeco:suffix:abc123", "gpt-4o-mini"),
        ("ft:gpt-4o-mini-2024-07-18:acemeco::x", "gpt-4o-mini"),
        ("models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("gemini-2.5-pro-latest", "gemini-2.5-pro"),
        ("sandbox/echo", "sandbox/echo"),
    ],
)
def test_a_model_is_found_by_any_of_its_names(name, id_):
    model = SHIPPED.find(name)

    assert model is not None
    assert model.id == id_


@pytest.mark.parametrize(
    "name",
    ["", "nope", "gpt-4o-minimal", "gpt", "sandbox/nope", "evil/gpt-4o", "ft:", "/", "claude-3-op"],
)
def test_an_unknown_name_finds_nothing(name):
    assert SHIPPED.find(name) is None


def test_no_name_means_two_models():
    names = [name.lower() for model in SHIPPED.models() for name in (model.id, *model.aliases)]

    assert len(names) == len(set(names))


def test_every_shipped_model_is_found_by_each_of_its_names():
    for model in SHIPPED.models():
        assert all(SHIPPED.find(name) is model for name in (model.id, *model.aliases))


def test_families_of_the_shipped_data_are_those_of_the_rules():
    assert {model.id: model.family for model in SHIPPED.models()} == {
        model.id: family_of(model.id) for model in SHIPPED.models()
    }


def test_the_main_vendors_are_there():
    vendors = {model.vendor for model in SHIPPED.models()}

    assert {"openai", "anthropic", "google", "deepseek", "mistral", "xai", "qwen"} <= vendors
    assert {"moonshot", "zhipu", "meta", "minimax", "perplexity", "sandbox"} <= vendors


def test_facts_are_positive_or_absent():
    for model in SHIPPED.models():
        assert model.context is None or model.context > 0
        assert model.max_output is None or model.max_output > 0
        assert model.created >= 0
        assert model.title


def test_known_facts_of_one_model_stand():
    model = SHIPPED.find("claude-3-opus")

    assert model == Model(
        id="claude-3-opus",
        family="claude-opus",
        vendor="anthropic",
        title="Claude Opus 3",
        created=1_709_164_800,
        context=200_000,
        max_output=4096,
        aliases=("claude-3-opus-20240229", "claude-3-opus-latest"),
        vision=True,
        tools=True,
        deprecated=True,
    )


def test_a_catalogue_of_given_models_knows_no_others():
    mine = Model(id="mine", family="mine", vendor="me", title="Mine", aliases=("our-model",))

    catalog = Catalog([mine])

    assert catalog.models() == (mine,)
    assert catalog.find("our-model") is mine
    assert catalog.find("gpt-4o") is None


def test_the_data_is_read_at_the_first_question_only():
    code = (
        "import sys; from meterway.catalog.service import Catalog; c = Catalog(); "
        "assert '_models' not in vars(c) and '_names' not in vars(c); "
        "c.find('gpt-4o'); assert '_names' in vars(c)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("claude-3-opus-20240229", "claude-opus"),
        ("claude-opus-4-7", "claude-opus"),
        ("anthropic/claude-sonnet-5", "claude-sonnet"),
        ("claude-2.1", "claude"),
        ("gpt-4o-mini", "gpt-4o"),
        ("gpt-4.1-nano", "gpt-4.1"),
        ("gpt-4-turbo", "gpt-4"),
        ("gpt-5.2-codex", "gpt-5"),
        ("gpt-oss-120b", "gpt-oss"),
        ("o3-mini", "o3"),
        ("gemini-2.5-flash-lite", "gemini-flash-lite"),
        ("gemini-3.1-pro-preview", "gemini-pro"),
        ("mistral-large-latest", "mistral-large"),
        ("open-mistral-nemo", "mistral-nemo"),
        ("ministral-8b", "ministral"),
        ("moonshot-v1-8k", "kimi"),
        ("sandbox/echo", "sandbox"),
        ("my-own-model", "my-own-model"),
    ],
)
def test_a_name_tells_the_family(name, family):
    assert family_of(name) == family


@pytest.mark.parametrize(
    ("name", "vendor"),
    [
        ("gpt-4o", "openai"),
        ("gpt-9-turbo", "openai"),
        ("claude-opus-9", "anthropic"),
        ("gemini-9-flash", "google"),
        ("my-own-model", None),
    ],
)
def test_a_model_newer_than_the_catalogue_still_has_a_vendor(name, vendor):
    assert SHIPPED.vendor_of(name) == vendor
