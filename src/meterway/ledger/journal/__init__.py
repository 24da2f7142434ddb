"""The journal: what a worker writes of each ended call before its last byte, on disk."""
