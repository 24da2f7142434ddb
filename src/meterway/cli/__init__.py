"""The command line. Each command's module is imported when the command is run, not before.

Exit codes: 0 done · 1 failed · 2 wrong usage or settings · 3 not found · 4 already there ·
5 not initialised, or another installation's secret file · 6 database unavailable.
"""

from importlib import import_module

import click

import meterway

_COMMANDS = {
    "serve": ("meterway.cli.serve:serve", "Run the gateway; the first run sets everything up."),
    "init": ("meterway.cli.serve:init", "Set up the data folder; print the first key once."),
    "doctor": ("meterway.cli.doctor:doctor", "Look for what is wrong and say what to do."),
    "user": ("meterway.cli.users:user", "Make, list and shut out users, and move their money."),
    "code": ("meterway.cli.money:code", "Make and list redemption codes."),
    "key": ("meterway.cli.keys:key", "Make, list, change and revoke API keys."),
    "channel": ("meterway.cli.channels:channel", "Add, list, test, refresh and remove channels."),
    "price": ("meterway.cli.prices:price", "Show and set what models cost."),
    "ledger": ("meterway.cli.ledger:ledger", "Prove that every amount is where it belongs."),
    "config": ("meterway.cli.config:config", "Check and show the settings."),
    "secret": ("meterway.cli.secret:secret", "Rotate the secret that seals credentials."),
    "db": ("meterway.cli.database:db", "Migrate, back up and restore the database."),
    "openapi": ("meterway.cli.openapi:openapi", "Print the description of the HTTP API."),
    "bench": ("meterway.bench.command:bench_command", "Measure the gateway beside nginx."),
}


class _Lazy(click.Group):
    """A group that knows its commands' names and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order a newcomer needs them."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(meterway.__version__, prog_name="meterway")
def main() -> None:
    """Meterway: a self-hosted, metered gateway to every AI model.

    Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 not found, 4 already there,
    5 not initialised or wrong secret file, 6 database unavailable.
    """
