"""Limits: requests, tokens and concurrency, counted once for all workers of a machine."""
