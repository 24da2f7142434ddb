"""`meterway secret …`."""

import click

from meterway.cli.frame import Frame, common, run
from meterway.cli.installation import locked, opened
from meterway.db.engine import transaction
from meterway.idempotency import service as idempotency
from meterway.kit import secret_file
from meterway.routing import service as routing
from meterway.settings import Settings


@click.group()
def secret() -> None:
    """Rotate the secret that seals credentials."""


@secret.command()
@common
def rotate(frame: Frame) -> None:
    """Seal every credential and kept reply with a fresh secret and drop the old one.

    API keys stay valid. A running gateway follows by itself. A backup of the database made before
    needs the secret file of its time: keep them together.
    """
    settings = frame.settings()
    with locked(settings.data):
        channels = run(_rotate(settings))
    frame.say({"resealed": channels}, f"Channels whose secrets were sealed anew: {channels}.")


async def _rotate(settings: Settings) -> int:
    """Write both secrets first and the new one alone last: cut anywhere, all can be opened."""
    async with opened(settings) as place:
        both = place.secrets.rotated()
        secret_file.replace(settings.secret_path, both)
        async with transaction(place.engine) as tx:
            channels = await routing.reseal(tx, both.box)
            await idempotency.reseal(tx, both.box)
        secret_file.replace(settings.secret_path, both.settled())
    return channels
