"""The platform's endpoints, served for a test."""

import pytest

from tests.factories.platform import open_platform


@pytest.fixture
async def platform(sqlite):
    async with open_platform(sqlite) as made:
        yield made


@pytest.fixture
async def both_platforms(engine):
    """The same on SQLite and on PostgreSQL."""
    async with open_platform(engine) as made:
        yield made
