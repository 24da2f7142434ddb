"""`meterway ledger …`."""

import sys
from collections.abc import Mapping

import click
from rich.console import Console
from rich.progress import Progress
from sqlalchemy.ext.asyncio import AsyncConnection

from meterway.catalog.prices import service as prices
from meterway.cli.frame import Frame, common, run
from meterway.cli.installation import opened
from meterway.db.engine import reading
from meterway.keys import service as keys
from meterway.kit.money import Nanos
from meterway.ledger import verify as verification
from meterway.ledger.verify import Report
from meterway.metering.receipts import pricer
from meterway.settings import Settings


@click.group()
def ledger() -> None:
    """Prove that every amount is where it belongs."""


@ledger.command()
@common
def verify(frame: Frame) -> None:
    """Replay everything that was posted; fails where anything contradicts itself.

    Changes nothing, and the gateway may run. Shows the digest of the last seal: kept elsewhere,
    it proves later that nothing before it was changed.
    """
    shows = sys.stderr.isatty() and not frame.as_json
    with Progress(console=Console(stderr=True), transient=True, disable=not shows) as progress:
        report = run(_verified(frame.settings(), progress))
    frame.say(report, _told(report))
    if report.breaks:
        click.get_current_context().exit(1)


async def _verified(settings: Settings, progress: Progress) -> Report:
    task = progress.add_task("Reading charges", total=None)
    async with opened(settings) as place, reading(place.engine) as connection:
        await verification.at_one_moment(connection)
        book = await prices.load(connection)
        return await verification.verify(
            connection,
            folder=settings.journals,
            pricer_of=lambda terms: pricer(terms, book),
            key_counters=_counted,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )


async def _counted(connection: AsyncConnection) -> Mapping[int, tuple[int, Nanos]]:
    everybody = await keys.of_user(connection, deleted=True)
    return {key.id: (key.used_times, key.used_fee) for key in everybody}


def _told(report: Report) -> str:
    lines = [f"broken: {what}" for what in report.breaks]
    lines += [f"out of reach, its leases wait: journal {name}" for name in report.quarantined]
    verdict = "does not add up" if report.breaks else "is sound"
    lines.append(
        f"The ledger {verdict}: {report.charges} charges, {report.entries} entries, "
        f"{report.seals} seals, {report.unsealed} entries not sealed yet."
    )
    lines.append(f"Last seal: {report.head}")
    return "\n".join(lines)
