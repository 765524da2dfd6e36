"""The terminal side: port, session, recognition, replies, keys."""
