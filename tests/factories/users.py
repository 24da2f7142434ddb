"""Users for tests that do not sign in, without the cost of hashing a password."""

import itertools

from meterway.accounts import store
from meterway.db.engine import transaction

_numbers = itertools.count(1)


async def new_user(engine, *, is_admin=False, postpaid=False):
    """Insert a user and return its id."""
    async with transaction(engine) as tx:
        return await store.add(
            tx,
            email=f"user{next(_numbers)}@example.org",
            password_hash="none",
            rights=(is_admin, postpaid),
            now=0,
        )
