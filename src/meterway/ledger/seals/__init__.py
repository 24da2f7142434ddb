"""Seals: a chain of hashes over everything posted, so that tampering shows."""
