"""Redemption codes: money to be claimed once by who knows the text."""
