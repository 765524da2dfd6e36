"""Configuration: TOML files read once, by the composition root, into typed values."""
