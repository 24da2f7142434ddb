"""The ledger: books, budgets, the journal of ended calls, their charges, and the seals on all."""
