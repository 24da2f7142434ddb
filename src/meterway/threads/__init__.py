"""What is kept of what was said: responses, conversations, stored completions."""
