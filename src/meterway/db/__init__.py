"""The database: engines, transactions, column types, versions of what others cache."""
