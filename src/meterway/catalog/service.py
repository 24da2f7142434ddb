"""The catalogue: facts of the models the product knows, found by any of their names.

The data is made by `scripts/build_catalog.py`; it is read at the first question, not at import.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import msgspec

from meterway.catalog.families import family_of
from meterway.catalog.types import Model

_DATA = Path(__file__).parent / "data/models.json"
_DATE = re.compile(r"[-@](?:\d{8}|\d{4}-\d{2}-\d{2}|\d{4})$")
_FINE_TUNED = re.compile(r"ft:([^:]+):")
_VENDOR_PREFIX = re.compile(
    r"(?:openai|azure|anthropic|google|gemini|models|deepseek|mistral|mistralai|x-?ai|qwen"
    r"|dashscope|moonshot(?:ai)?|z-?ai|zhipu(?:ai)?|minimax|perplexity|meta-llama|meta)/",
    re.IGNORECASE,
)


class Catalog:
    """An immutable set of models. Without `models` it is the set that ships with the product."""

    def __init__(self, models: Iterable[Model] | None = None) -> None:
        self._given = models

    @cached_property
    def _models(self) -> tuple[Model, ...]:
        return tuple(self._given) if self._given is not None else _shipped()

    @cached_property
    def _names(self) -> dict[str, Model]:
        names = {alias.lower(): model for model in self._models for alias in model.aliases}
        names.update((model.id.lower(), model) for model in self._models)
        return names

    @cached_property
    def _vendors(self) -> dict[str, str]:
        """Vendors by family, and by the first word of their families."""
        vendors: dict[str, str] = {}
        for model in self._models:
            vendors.setdefault(model.family, model.vendor)
            vendors.setdefault(model.family.partition("-")[0], model.vendor)
        return vendors

    def vendor_of(self, name: str) -> str | None:
        """Return who makes the model called `name`, judging an unknown one by its family.

        A model newer than the catalogue (`gpt-9`, `claude-opus-9`) still finds its vendor.
        """
        if found := self.find(name):
            return found.vendor
        family = family_of(name)
        return self._vendors.get(family) or self._vendors.get(family.partition("-")[0])

    def models(self) -> Sequence[Model]:
        """Every model once, ordered by vendor and id."""
        return self._models

    def find(self, name: str) -> Model | None:
        """Return the model `name` means, None where nobody knows it.

        Known are ids and aliases in any case, dated snapshots of known models
        (`gpt-4o-2024-08-06`, `claude-3-opus@20240229`), `-latest`, fine-tuned models
        (`ft:gpt-4o-mini:…`) and the prefixes other gateways put before them (`openai/gpt-4o`).
        """
        names = self._names
        key = name.lower()
        if found := names.get(key):
            return found
        if tuned := _FINE_TUNED.match(key):
            key = tuned[1]
        key = _VENDOR_PREFIX.sub("", key, count=1) if "/" in key else key
        if "claude" in key:
            key = key.replace(".", "-")  # some call claude-3-5-sonnet claude-3.5-sonnet
        for short in (key, _DATE.sub("", key), key.removesuffix("-latest")):
            if found := names.get(short):
                return found
        return None


def _shipped() -> tuple[Model, ...]:
    return msgspec.json.decode(_DATA.read_bytes(), type=tuple[Model, ...])
