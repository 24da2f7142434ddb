"""What can go wrong with what is kept of what was said.

MeterwayError
├── NotFoundError
│   ├── ResponseNotFoundError            404  no such response of the caller's
│   ├── ConversationNotFoundError        404  no such conversation of the caller's
│   ├── ItemNotFoundError                404  no such item in the conversation
│   └── CompletionNotFoundError          404  no such stored completion of the caller's
├── ForbiddenError
│   └── ZeroRetentionError               403  nothing is kept for this user or key
└── InvalidRequestError
    ├── PreviousResponseNotFoundError    400  the response to go on from, or one before it, is gone
    ├── HistoryTooLongError              400  the history is more than one request may carry
    ├── BadItemError                     400  an item that cannot be kept
    ├── ItemExistsError                  400  the conversation has an item of that id already
    ├── TooManyItemsError                400  more items than one request may add
    └── BadMetadataError                 400  metadata that are no short texts, or too many
"""

from meterway.kit.errors import ForbiddenError, InvalidRequestError, NotFoundError


class ResponseNotFoundError(NotFoundError):
    """There is no such response, or it is somebody else's."""

    code = "response_not_found"

    def __init__(self, id_: str) -> None:
        super().__init__(f"Response with id '{id_}' not found.")


class ConversationNotFoundError(NotFoundError):
    """There is no such conversation, or it is somebody else's."""

    code = "conversation_not_found"

    def __init__(self, id_: str, *, param: str | None = None) -> None:
        super().__init__(f"Conversation with id '{id_}' not found.", param=param)


class ItemNotFoundError(NotFoundError):
    """There is no such item in the conversation."""

    code = "item_not_found"

    def __init__(self, id_: str, *, param: str | None = None) -> None:
        super().__init__(f"Item with id '{id_}' not found in this conversation.", param=param)


class CompletionNotFoundError(NotFoundError):
    """There is no such stored completion, or it is somebody else's."""

    code = "completion_not_found"

    def __init__(self, id_: str, *, param: str | None = None) -> None:
        super().__init__(
            f"Chat completion with id '{id_}' not found; those made with `store: true` are kept.",
            param=param,
        )


class ZeroRetentionError(ForbiddenError):
    """The user or the key has zero retention: nothing it says is kept."""

    code = "zero_retention"

    def __init__(self, param: str | None = None) -> None:
        super().__init__(
            "Nothing is kept for this API key: it, or its user, has zero retention. Send the whole "
            "conversation with each request, with `store: false`.",
            param=param,
        )


class PreviousResponseNotFoundError(InvalidRequestError):
    """The response that is to be continued is not there, or one it continues is not."""

    code = "previous_response_not_found"

    def __init__(self, id_: str) -> None:
        super().__init__(
            f"Previous response with id '{id_}' not found.", param="previous_response_id"
        )


class HistoryTooLongError(InvalidRequestError):
    """What was said before is more than one request may carry."""

    code = "history_too_long"


class BadItemError(InvalidRequestError):
    """An item is not of the form that can be kept."""

    code = "bad_item"


class ItemExistsError(InvalidRequestError):
    """The conversation has an item of that id already."""

    code = "item_exists"


class TooManyItemsError(InvalidRequestError):
    """The request adds more items than one request may."""

    code = "too_many_items"


class BadMetadataError(InvalidRequestError):
    """Metadata are not at most sixteen short texts by name."""

    code = "bad_metadata"
