"""What can go wrong while counting.

MeterwayError
└── UnavailableError
    └── CounterDownError   503  the counter process does not answer
"""

from meterway.kit.errors import UnavailableError


class CounterDownError(UnavailableError):
    """The counter process does not answer; callers fall back to an estimate."""

    code = "counter_down"
