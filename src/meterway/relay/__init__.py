"""The sentence every paid call follows, from hold to settle."""
