"""Counting the tokens of texts and request bodies for each family of models, offline."""
