"""Membership that users buy: a tier for some months, from their own balance."""
