"""Replies kept for requests that carry an Idempotency-Key."""
