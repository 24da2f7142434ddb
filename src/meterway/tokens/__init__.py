"""Counting the tokens of texts and request bodies for each family of models, offline."""

from meterway.tokens.types import estimate

__all__ = ["estimate"]
