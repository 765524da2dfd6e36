"""Merchant order systems: what is owed for an order is asked of them, what was paid told to them.

Start at ``client.py`` (ask and tell over HTTP) and ``outbox.py`` (tell at least once, in order per
order). ``messages.py`` has the JSON documents, ``webhooks.py`` the signatures, ``settings.py`` the
choice among several systems. The contract is ``docs/order-system-openapi.yaml``.
"""
