"""Fetches what callers name by URL, from the public internet alone, behind one guard."""

from meterway.kit.fetching.answer import Room
from meterway.kit.fetching.errors import FetchError
from meterway.kit.fetching.fetcher import Fetched, Fetcher, Limits
from meterway.kit.fetching.hosts import PrivateHosts

__all__ = ["FetchError", "Fetched", "Fetcher", "Limits", "PrivateHosts", "Room"]
