"""Building blocks that know nothing of the product: errors, ids, clock, tasks, JSON, SSE."""
