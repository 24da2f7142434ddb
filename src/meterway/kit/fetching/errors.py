"""The one error of fetching: what is wrong with a URL, and what to do instead."""

from meterway.kit.errors import InvalidRequestError

_INSTEAD = "You can also send the content itself, in base64."


class FetchError(InvalidRequestError):
    """What a URL in the request leads to cannot be fetched for a provider that fetches nothing."""

    code = "url_not_fetched"

    def __init__(self, problem: str = "", *, param: str | None = None) -> None:
        super().__init__(f"{problem} {_INSTEAD}".lstrip(), param=param)


def not_public() -> FetchError:
    """Say that there is nothing to fetch from.

    The words are the same for names that lead nowhere and for names and addresses of the inside:
    whoever asks must not learn which of them exist.
    """
    return FetchError(
        "The host of this URL has no public address. Use a URL that anybody on the internet can "
        "fetch."
    )
