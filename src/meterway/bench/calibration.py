"""A fixed loop of plain Python, so that figures of different machines and hours can be compared."""

import time

_STEPS = 20_000


def loops_per_second(seconds: float = 0.25) -> float:
    """Return how many million steps of a fixed loop one second of processor time carries.

    It counts the thread's own processor time, so that neighbours on the core disturb it less.
    """
    began = time.thread_time()
    rounds = 0
    while time.thread_time() - began < seconds:
        _loop()
        rounds += 1
    return rounds * _STEPS / (time.thread_time() - began) / 1e6


def _loop() -> int:
    total = 0
    table = {"a": 1, "b": 2, "c": 3, "d": 4}
    keys = tuple(table)
    for step in range(_STEPS):
        total = (total * 31 + table[keys[step & 3]]) & 0xFFFFFFFF
    return total
