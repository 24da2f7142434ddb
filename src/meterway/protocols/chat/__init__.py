"""Chat dialects: the neutral form and one codec per wire protocol."""
