"""Responses that were kept, and the chains they make."""
