"""``acquirer bench``: how fast the switch is, as a share of a bare relay in the same run.

``command.py`` runs it, ``relay.py`` is the baseline, ``host.py`` the far end of both, ``load.py``
the terminals. Host, load and the thing under test are processes of their own.
"""
