"""What Anthropic's Messages API has no way to say."""

from meterway.protocols.errors import UnsupportedContentError


def unsupported(path: str, what: str) -> UnsupportedContentError:
    """Return the error for `what`, which Anthropic's API has no way to say."""
    message = f"{path}: {what} cannot be sent to an upstream that speaks Anthropic's Messages API."
    return UnsupportedContentError(message, param=path)
