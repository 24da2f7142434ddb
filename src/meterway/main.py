"""`meterway serve`: the parent process and what it starts. It wires, and decides nothing."""

import os
import sys

import structlog

from meterway import __version__
from meterway.kit import log
from meterway.processes.supervisor import Policy, Supervisor, caught_signals
from meterway.processes.workplace import Workplace, listen, open_workplace, raise_file_limit
from meterway.settings import Settings

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
    from meterway.processes.roles import forgetting, roles_of  # noqa: PLC0415 - see the comment

    with caught_signals() as wake, listen(settings.host, settings.port) as listening:
        roles = roles_of(settings, place, listening)
        _announce(settings, listening.getsockname()[1])
        policy, ended = Policy(grace=settings.shutdown_grace + _AFTER_GRACE), forgetting(place)
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
