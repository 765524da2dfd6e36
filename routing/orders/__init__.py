"""Merchant order systems: what is owed for an order is asked of them, what was paid told to them.

Start at ``client.py`` (all systems as one), ``adapter.py`` (what each must offer) and ``outbox.py``
(tell at least once, in order per order). Two adapters ship: ``http_system.py`` with ``http1.py``,
``messages.py`` (JSON documents) and ``webhooks.py`` (signatures); ``iso_system.py`` with
``iso_messages.py``. ``settings.py`` chooses among several systems. The contracts are
``docs/order-system-openapi.yaml`` and ``docs/order-host.md``.
"""
