"""Gifts that end: credits for a billing channel, and each day's free money."""
