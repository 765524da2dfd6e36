"""The business configuration of a running switch: what it may hold, how it changes, what is now."""
