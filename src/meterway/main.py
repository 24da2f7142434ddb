"""`meterway serve`: the parent process and what it starts. It wires, and decides nothing."""

import os
import sys
from functools import partial

import structlog

from meterway import __version__
from meterway.kit import log
from meterway.processes.supervisor import Policy, Role, Supervisor, caught_signals
from meterway.processes.workplace import Workplace, listen, open_workplace, raise_file_limit
from meterway.settings import Settings
from meterway.tokens.process import serve_counter

_log = structlog.get_logger()
_AFTER_GRACE = 5.0  # seconds a worker may take beyond its own limit before it is killed


def serve(settings: Settings) -> None:
    """Run the gateway until a signal ends it; the database is ready and up to date already.

    Ends by `SystemExit`: 0 after SIGTERM or an interrupt, 1 where a process kept failing.
    Raises `ListenError` where the address cannot be had.
    """
    log.configure(settings.log_level, settings.log_format, facts={"process": "parent"})
    raise_file_limit()
    with open_workplace() as place:
        status = _run(settings, place)
    sys.exit(status)


def _run(settings: Settings, place: Workplace) -> int:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(place.figures)
    # Imported once for all workers, which share the memory; the folder above is read meanwhile.
    from meterway.kit import metrics  # noqa: PLC0415 - see the comment
    from meterway.limits.service import create_counts, open_counts  # noqa: PLC0415 - same
    from meterway.processes.backstage import run_backstage  # noqa: PLC0415 - same
    from meterway.processes.gateway import build, limits_of  # noqa: PLC0415 - same
    from meterway.processes.worker import run_worker  # noqa: PLC0415 - same

    def work(index: int) -> None:
        name = f"worker-{index}"
        log.configure(settings.log_level, settings.log_format, facts={"process": name})
        ready = partial(build, settings, node=index, place=place)
        run_worker(name, ready, listening, limits_of(settings), settings.shutdown_grace)

    def post() -> None:
        log.configure(settings.log_level, settings.log_format, facts={"process": "backstage"})
        listening.close()
        run_backstage(settings)

    def count() -> None:
        log.configure(settings.log_level, settings.log_format, facts={"process": "counter"})
        listening.close()
        serve_counter(place.counter)

    with caught_signals() as wake, listen(settings.host, settings.port) as listening:
        roles = [
            Role(name=f"worker-{index}", work=partial(work, index))
            for index in range(settings.workers)
        ]
        create_counts(place.limits, settings.workers)
        counts = open_counts(place.limits, None)
        roles.append(Role(name="backstage", work=post, essential=False, last=True))
        roles.append(Role(name="counter", work=count, essential=False, last=True))
        _announce(settings, listening.getsockname()[1])
        metrics.forget_gauges(place.figures, metrics.PARENT)  # it only forks, and measures nothing
        policy = Policy(grace=settings.shutdown_grace + _AFTER_GRACE)

        def ended(name: str) -> None:
            metrics.forget_gauges(place.figures, name)
            role, _, index = name.partition("-")
            if role == "worker":
                counts.forget(int(index))

        # With a socket left open clients would wait in its queue for an answer nobody gives.
        return Supervisor(roles, policy, wake, ended=ended, stopping=listening.close).run()


def _announce(settings: Settings, port: int) -> None:
    """Say where clients find the gateway; standard output is for people, the log for machines."""
    url = settings.model_copy(update={"port": port}).base_url
    lines = (
        f"Meterway {__version__} listens.",
        f"  OpenAI clients     base URL {url}/v1",
        f"  Anthropic clients  base URL {url}",
        f"  documentation      {url}/docs",
    )
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
