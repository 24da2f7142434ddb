"""The backstage process's rhythm: at once, soon, or later, by what the last turn posted."""

from typing import Any

import pytest

from meterway.kit.errors import UnavailableError
from meterway.processes.backstage import Backstage
from tests.fakes.clock import FakeClock


class Settler:
    """Posts what it is told to."""

    def __init__(self, posted, *, is_behind=False):
        self.posted, self.is_behind, self.is_idle = posted, is_behind, True

    async def turn(self):
        if self.posted is None:
            raise UnavailableError("locked")
        return self.posted

    def close(self):
        pass


class NoChores:
    def due(self):
        return ()


class NoJobs:
    async def turn(self):
        return 0


async def _pause_after(posted, *, is_behind=False):
    settler: Any = Settler(posted, is_behind=is_behind)
    chores: Any = NoChores()
    background: Any = NoJobs()
    return await Backstage(FakeClock(0.0), settler, chores, background).turn()


@pytest.mark.parametrize("posted", [0, 1, 199, 200, 2000])
async def test_what_is_behind_goes_on_at_once(posted):
    assert await _pause_after(posted, is_behind=True) == 0


async def test_call_of_a_quiet_time_is_posted_sooner_than_those_of_a_busy_one():
    assert await _pause_after(0) == await _pause_after(1) < await _pause_after(1000)


async def test_any_call_is_posted_well_within_a_second():
    assert await _pause_after(10_000) <= 0.5


async def test_database_that_fails_is_left_alone_for_a_second():
    assert await _pause_after(None) == 1
