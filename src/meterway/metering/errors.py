"""What can go wrong with pricing.

InvalidRequestError
└── UnpricedServiceError    400  the model has no price for the service tier asked for
"""

from meterway.kit.errors import InvalidRequestError


class UnpricedServiceError(InvalidRequestError):
    """A service tier was asked for that the model's tariff has no factor for."""

    code = "service_tier_unpriced"
