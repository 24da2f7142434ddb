"""`meterway openapi`."""

import click
import msgspec

from meterway.cli.frame import Frame, common
from meterway.edge.platform.openapi import document


@click.command()
@common
def openapi(frame: Frame) -> None:
    """Print the description of the HTTP API, OpenAPI 3.1."""
    whole = document()
    frame.say(whole, msgspec.json.format(msgspec.json.encode(whole)).decode())
