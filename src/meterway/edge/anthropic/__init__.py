"""The endpoints shaped like Anthropic's."""
