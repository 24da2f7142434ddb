"""Where a call may go: an operator's channels, their order, and their health."""
