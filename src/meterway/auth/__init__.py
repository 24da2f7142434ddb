"""Who is calling: the principal behind a key, found without waiting when warm."""
