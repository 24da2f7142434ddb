"""What can go wrong with the price book.

MeterwayError
├── InvalidRequestError
│   ├── BadPriceError           400  an amount, tier or factor that cannot be used
│   ├── PriceHoleError          400  a price that leaves a time without one
│   └── BadMultiplierError      400  a kind or value that cannot be used
├── NotFoundError
│   └── UnknownModelError       404  neither the catalogue nor a channel knows the model
└── PriceOverlapError           409  two prices of a model that begin at one moment
"""

from meterway.kit.errors import InvalidRequestError, MeterwayError, NotFoundError


class BadPriceError(InvalidRequestError):
    """A tariff has an amount, tier or factor that cannot be used."""

    code = "bad_price"


class PriceHoleError(InvalidRequestError):
    """The price would leave a time in which the model has none, or change the past."""

    code = "price_hole"


class BadMultiplierError(InvalidRequestError):
    """A multiplier cannot be used."""

    code = "bad_multiplier"


class UnknownModelError(NotFoundError):
    """Nobody knows a model by this name."""

    code = "model_unknown"


class PriceOverlapError(MeterwayError):
    """Another price of the model begins at the same moment."""

    status, code = 409, "price_overlap"
