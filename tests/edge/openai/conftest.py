"""The endpoints of what is kept, served for a test."""

import pytest

from tests.factories.shelves import open_shelf


@pytest.fixture
async def shelf(sqlite):
    async with open_shelf(sqlite) as made:
        yield made
