"""What cannot be said: by this dialect, or by any other in place of it."""

from meterway.protocols.errors import UnsupportedContentError


def unsupported(path: str, what: str) -> UnsupportedContentError:
    """Return the error for something that the Responses API has no way to say."""
    message = f"'{path}': {what} cannot be sent to an upstream that speaks OpenAI's Responses API."
    return UnsupportedContentError(message, param=path or None)


def untold(path: str, what: str) -> UnsupportedContentError:
    """Return the error for something that only an upstream of this dialect could be sent."""
    message = f"'{path}': {what} is known to its vendor alone; send what it says instead."
    return UnsupportedContentError(message, param=path)
