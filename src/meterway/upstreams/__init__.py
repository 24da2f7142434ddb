"""Where calls go: provider rows, transports, the sandbox, and upstream errors."""
