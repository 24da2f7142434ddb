"""Meterway: a self-hosted, metered gateway to every AI model."""

__version__ = "0.1.0"
