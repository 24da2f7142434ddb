"""The endpoints shaped like OpenAI's."""
