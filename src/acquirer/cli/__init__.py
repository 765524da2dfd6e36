"""The command line and the composition roots; alone may import every other folder."""
