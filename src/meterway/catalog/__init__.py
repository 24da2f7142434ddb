"""Facts about models: who makes them, what they can do, and the names they go by."""
