"""Which bank, which of its links, and what it is asked."""
