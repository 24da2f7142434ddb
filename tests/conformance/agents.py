"""The coding agents of npm that judge the gateway: where they are, and how one is run."""

import os
import subprocess
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
CACHE = _ROOT / ".cache"
_INSTALL_SECONDS, _RUN_SECONDS = 300, 60


def installed(program: str, *, among: str = "") -> Path:
    """Return a program by its name, installed where it is missing.

    `among` is the folder of those that stand beside a newer one. Not being able to install is an
    error, never a skip.
    """
    script = str(_ROOT / "scripts" / "install_agents.sh")
    done = subprocess.run(
        ["bash", script], capture_output=True, text=True, check=False, timeout=_INSTALL_SECONDS
    )
    assert done.returncode == 0, f"{program} cannot be installed:\n{done.stderr}"
    return CACHE / "agents" / among / "node_modules" / ".bin" / program


def run(
    command: list[str], home: Path, environ: dict[str, str]
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Run a program at home, in a new folder `work` there; return how it ended, and the folder.

    It sees of this process's environment only where programs are found.
    """
    folder = home / "work"
    folder.mkdir(parents=True)
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(home), **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_RUN_SECONDS,
    )
    return done, folder
