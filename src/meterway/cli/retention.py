"""What is kept of what a user or a key says, as the command line names it."""

from typing import Final

ZERO: Final = "zero"
RETENTION: Final = (ZERO, "usual")
