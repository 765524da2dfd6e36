"""All measurements; the first three are ``acquirer bench``, the others are run by hand.

``sales.py``: how fast the switch is, as a share of a bare relay in the same run; ``relay.py`` is
the baseline, ``host.py`` the far end of both, ``load.py`` the terminals. ``orders.py``: couriers
beside counters. ``hsm.py``: the security module. Hosts, loads and what is measured are processes
of their own.
"""
