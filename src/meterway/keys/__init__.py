"""API keys: made once, shown once, kept as keyed hashes; what each may do and until when."""
