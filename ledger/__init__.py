"""The books: journal, double-entry ledger, queues; one writer commits them in groups."""
