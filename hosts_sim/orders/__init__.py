"""A merchant's order system in software: answers queries, receives signed events, keeps books.

Stands for what a merchant runs, so it shares no code with the switch's side of the interface.
Start at ``app.py`` (what is answered), ``lifecycle.py`` (which events an order may take),
``store.py`` (the books), ``stock.py`` (a shop's goods). It is reached through ``server.py`` (HTTP)
and ``iso_link.py`` (ISO 8583). The contracts are ``docs/order-system-openapi.yaml`` and
``docs/order-host.md``.
"""
