"""A clock that stands still until a test moves it."""

import asyncio


class FakeClock:
    """Time begins at `now` seconds since the epoch; sleepers wake when time passes them.

    With `patient=False` a sleep moves the time itself and returns at once; `slept` lists waits.
    """

    def __init__(self, now: float = 1_800_000_000.0, *, patient: bool = False) -> None:
        self._now = now
        self._patient = patient
        self._sleepers: list[tuple[float, asyncio.Event]] = []
        self.slept: list[float] = []

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if not self._patient:
            self.advance(seconds)
            await asyncio.sleep(0)
            return
        woken = asyncio.Event()
        self._sleepers.append((self._now + seconds, woken))
        await woken.wait()

    def advance(self, seconds: float) -> None:
        self._now += seconds
        for due, woken in self._sleepers:
            if due <= self._now:
                woken.set()
        self._sleepers = [sleeper for sleeper in self._sleepers if not sleeper[1].is_set()]
