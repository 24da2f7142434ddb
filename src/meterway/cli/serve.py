"""`meterway serve` and `meterway init`."""

import os

import click
import msgspec

from meterway.cli.child import in_child
from meterway.cli.frame import Frame, common, run
from meterway.cli.installation import FirstStart, initialise, locked, prepare


@click.command()
@click.option("--host", help="Address to listen on; default 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port to listen on; default 8787.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes; default: one per core.")
@common
def serve(frame: Frame, host: str | None, port: int | None, workers: int | None) -> None:
    """Run the gateway; the first run sets everything up and prints a key once."""
    settings = frame.settings(host=host, port=port, workers=workers)
    with locked(settings.data):
        answer = in_child(lambda: run(prepare(settings, os.environ)))
    first = msgspec.json.decode(answer, type=FirstStart | None)
    if first is not None:
        frame.say(first, _shown_once(first))
    from meterway.main import serve as run_gateway  # noqa: PLC0415 - `init` needs no server

    run_gateway(settings)


@click.command()
@common
def init(frame: Frame) -> None:
    """Set up the data folder; print the base URL, the first key and the admin's password once."""
    settings = frame.settings()
    with locked(settings.data):
        first = run(initialise(settings))
    frame.say(first, _shown_once(first))


def _shown_once(first: FirstStart) -> str:
    lines = [
        "Meterway is set up. This is shown once:",
        f"  base URL  {first.base_url}   (OpenAI clients: {first.base_url}/v1)",
        f"  key       {first.key}",
        f"  admin     {first.admin.email}",
        f"  password  {first.admin.password}",
    ]
    if first.base_url.endswith(":0"):  # the port is free until the gateway listens, and says it
        del lines[1]
    return "\n".join(lines)
