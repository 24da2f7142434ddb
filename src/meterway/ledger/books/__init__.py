"""The books: accounts, entries that move money between them, and their sums."""
