"""Budgets: what can run out, and the leases of it that workers spend from."""
