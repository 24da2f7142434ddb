"""Measures what the gateway costs, in time and memory, beside nginx in the same run."""
