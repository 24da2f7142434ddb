"""`meterway db …`."""

import click

from meterway.cli import installation
from meterway.cli.backup import backup, restore
from meterway.cli.frame import Frame, common, run
from meterway.cli.installation import engine_of, locked
from meterway.db import schema
from meterway.settings import Settings


@click.group()
def db() -> None:
    """Bring the database's tables up to date; back up and restore it with the journals."""


db.add_command(backup)
db.add_command(restore)


@db.command()
@common
def upgrade(frame: Frame) -> None:
    """Apply the changes of the tables this version needs; `serve` does it by itself."""
    settings = frame.settings()
    with locked(settings.data):
        changed = run(_upgrade(settings))
    text = f"The tables are now at {schema.HEAD}." if changed else "There was nothing to do."
    frame.say({"version": schema.HEAD, "changed": changed}, text)


async def _upgrade(settings: Settings) -> bool:
    async with engine_of(settings) as engine:
        return await installation.upgrade(engine)
