"""What each process of a running gateway does; the parent imports this once, for all workers."""

import socket
from collections.abc import Callable
from functools import partial

from meterway.kit import log, metrics
from meterway.limits.service import create_counts, open_counts
from meterway.processes.gateway import build, limits_of
from meterway.processes.supervisor import Role
from meterway.processes.worker import run_worker
from meterway.processes.workplace import Workplace
from meterway.settings import Settings

_WORKER = "worker"


def roles_of(settings: Settings, place: Workplace, listening: socket.socket) -> list[Role]:
    """Return the processes to keep alive, and make what they share."""
    create_counts(place.limits, settings.workers)
    roles = [
        Role(name=f"{_WORKER}-{index}", work=partial(_work, settings, place, listening, index))
        for index in range(settings.workers)
    ]
    post = partial(_post, settings, place, listening)
    roles.append(Role(name="backstage", work=post, essential=False, last=True))
    count = partial(_count, settings, place, listening)
    return [*roles, Role(name="counter", work=count, essential=False, last=True)]


def forgetting(place: Workplace) -> Callable[[str], None]:
    """Return what the parent does when the process of a name ended."""
    counts = open_counts(place.limits, None)
    metrics.forget_gauges(place.figures, metrics.PARENT)  # it only forks, and measures nothing

    def forget(name: str) -> None:
        metrics.forget_gauges(place.figures, name)
        role, _, index = name.partition("-")
        if role == _WORKER:
            counts.forget(int(index))  # its calls run no longer

    return forget


def _work(settings: Settings, place: Workplace, listening: socket.socket, index: int) -> None:
    name = f"{_WORKER}-{index}"
    _log_as(settings, name)
    ready = partial(build, settings, node=index, place=place)
    run_worker(name, ready, listening, limits_of(settings), settings.shutdown_grace)


def _post(settings: Settings, place: Workplace, listening: socket.socket) -> None:
    from meterway.processes.backstage import run_backstage  # noqa: PLC0415 - workers lack it

    _log_as(settings, "backstage")
    listening.close()
    run_backstage(settings, place)


def _count(settings: Settings, place: Workplace, listening: socket.socket) -> None:
    from meterway.tokens.process import serve_counter  # noqa: PLC0415 - workers lack tokenizers

    _log_as(settings, "counter")
    listening.close()
    serve_counter(place.counter)


def _log_as(settings: Settings, name: str) -> None:
    log.configure(settings.log_level, settings.log_format, facts={"process": name})
