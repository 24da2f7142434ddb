"""OpenAI's Responses API over any upstream: the state is ours (ADR 0010)."""
