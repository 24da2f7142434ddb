"""What OpenAI's chat API has no way to say."""

from meterway.protocols.errors import UnsupportedContentError


def unsupported(path: str, what: str) -> UnsupportedContentError:
    """Return the error for something that OpenAI's API has no way to say."""
    message = f"'{path}': {what} cannot be sent to an upstream that speaks OpenAI's chat API."
    return UnsupportedContentError(message, param=path or None)
