"""What can go wrong with channels.

MeterwayError
├── NotFoundError
│   └── ChannelNotFoundError    404  no channel with this name
├── InvalidRequestError
│   └── BadChannelError         400  a fact of the channel cannot be used
├── ChannelExistsError          409  the name is taken
└── ChannelElsewhereError       409  the channel is kept in the settings file
"""

from meterway.kit.errors import InvalidRequestError, MeterwayError, NotFoundError


class ChannelNotFoundError(NotFoundError):
    """There is no such channel."""

    code = "channel_not_found"


class BadChannelError(InvalidRequestError):
    """Something said about a channel cannot be used."""

    code = "bad_channel"


class ChannelExistsError(MeterwayError):
    """A channel with this name is there already."""

    status, code = 409, "channel_exists"


class ChannelElsewhereError(MeterwayError):
    """The settings file says what this channel is; it is changed there."""

    status, code = 409, "channel_in_file"
