"""Gateways that sell, for tests that kill, stop and starve them, and what is proved where.

`FAULTS=short` makes every test do less, `FAULTS_SOAK` says how many seconds the soak sells, and
`FAULTS_SEED` repeats the accidents of a run that printed it. Here are real processes:

- kill -9 of workers, backstage, counter, parent and all at once; a stopped worker; a torn last
  record: `test_kills`
- a thousand calls on a balance for k: `test_admission`
- backup, restore, and the release before: `test_backups`; refused archives: `cli/test_backup`
- full disks and a locked database: `test_starving`
- a background response whose process, or everything, is killed: `test_background`
- every cancel point of a stream, in both dialects: `test_cancelling`
- minutes of selling: `test_soak`

What needs no process is proved beside its code, on SQLite and PostgreSQL: postings that come twice
or out of order, undone commits and two settlers at once in `ledger/test_settler` (with a clock that
jumps) and `ledger/budgets/test_service`; lost answers and cancelled loans in
`ledger/budgets/test_purse`; everything together as a state machine in `ledger/budgets/test_laws`;
torn, changed and noisy journals in `ledger/journal`; jumping clocks of limits in
`limits/test_service` and of call ids in `kit/test_ids`.
"""

import os
import random
from collections.abc import Callable, Iterator

import pytest

from tests.factories.gateways import Gateway
from tests.faults.shop import Shop

_UNLIMITED = '{"normal": {"rpm": 0, "tpm": 0, "concurrency": 0}}'
SHORT = os.environ.get("FAULTS") == "short"


def pytest_collection_modifyitems(items) -> None:
    """Everything here is a fault test."""
    for item in items:
        if "/faults/" in str(item.path):
            item.add_marker(pytest.mark.faults)


@pytest.fixture
def chance() -> random.Random:
    """A source of accidents; the seed is printed, for a failure to be repeated."""
    seed = int(os.environ.get("FAULTS_SEED") or random.randrange(1 << 32))
    print(f"FAULTS_SEED={seed}")  # noqa: T201 - pytest shows it with a failure
    return random.Random(seed)


@pytest.fixture
def open_shop(tmp_path_factory, installed: Gateway) -> Iterator[Callable[..., Shop]]:
    """Make a shop that was not started, given its customer's dollars and its environment."""
    shops: list[Shop] = []

    def make(dollars: str, url: str | None = None, **environ: str) -> Shop:
        environ = {"METERWAY_LIMITS": _UNLIMITED} | environ
        folder = tmp_path_factory.mktemp("shop")
        if url is None:
            gateway = Gateway(folder, **environ).init(installed)
        else:
            gateway = Gateway(folder, **environ, DATABASE_URL=url).init()
        shops.append(Shop(gateway, dollars, url))
        return shops[-1]

    yield make
    for shop in shops:
        shop.gateway.stop()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request) -> str | None:
    """Where the books are: None is the data folder's own file."""
    return None if request.param == "sqlite" else request.getfixturevalue("empty_postgres")
