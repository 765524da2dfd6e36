"""The switch's side of the security module: commands in ``client.py``, wires in ``transport.py``."""
