"""Running commands as a shell would, in a folder of the test's own."""

import json
import os
import shutil

import pytest
from click.testing import CliRunner

from meterway.cli import main


class Shell:
    """Runs commands on one data folder; `environment` is all they see besides PATH and HOME."""

    def __init__(self, data):
        self.data = data
        self.environment = {}
        self.first = {}

    def run(self, *arguments, code=0, stdin=None):
        """Run a command that must end with `code`; return its result."""
        result = self.try_run(*arguments, stdin=stdin)
        assert result.exit_code == code, (result.output, result.exception)
        return result

    def try_run(self, *arguments, stdin=None):
        """Run a command that may fail, but not of an error nobody thought of."""
        emptied = dict.fromkeys(os.environ.keys() - {"PATH", "HOME"})
        variables = {**emptied, "METERWAY_DATA": str(self.data), **self.environment}
        result = CliRunner().invoke(main, [str(a) for a in arguments], env=variables, input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            result.output,
            result.exception,
        )
        assert "Traceback" not in result.output
        return result

    def json(self, *arguments, **options):
        """Run a command with `--json`; return its answer."""
        return json.loads(self.run(*arguments, "--json", **options).stdout)


@pytest.fixture
def new_shell(tmp_path):
    """A shell before anything was set up."""
    return Shell(tmp_path / "data")


@pytest.fixture(scope="session")
def set_up(tmp_path_factory):
    """An installation that was set up, to be copied, and what was shown then."""
    made = Shell(tmp_path_factory.mktemp("cli") / "data")
    return made.data, made.json("init")


@pytest.fixture
def shell(new_shell, set_up):
    """A shell whose installation was set up; `first` is what was shown then."""
    data, new_shell.first = set_up
    shutil.copytree(data, new_shell.data)
    return new_shell
