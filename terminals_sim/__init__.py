"""POS terminals in software, written from the terminal interface alone, as a vendor would.

``terminal.py`` is the terminal without a socket, ``client.py`` puts it on a connection,
``store.py`` keeps its state in a file; ``scenario.py`` and ``load.py`` play many of them.
Nothing here knows the switch but by its wire.
"""
