"""Chat completions that were kept."""
