"""Charges: one row a call, its receipt, and what became of both for usage pages."""
