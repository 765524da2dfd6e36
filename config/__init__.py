"""Configuration: TOML files read once, by the composition root, into typed values.

Beside them what every server shares: TLS, who is let in, how much strangers may write to the log.
"""
