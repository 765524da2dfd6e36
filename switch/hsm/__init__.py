"""The switch's side of the security module: ``client.py`` (commands), ``transport.py`` (wires)."""
