"""The switch: terminals in, decisions, books, answers out. Start at ``transactions/``."""
