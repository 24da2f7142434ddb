"""Metering: what a call used and what that costs; pure functions."""
