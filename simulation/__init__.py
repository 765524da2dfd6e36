"""The whole estate in one process under a mock clock, broken on purpose by one seed.

Start at ``run.py``, which composes a day; ``day.py`` says what a seed draws, ``checks.py`` what
must hold. Used by ``acquirer simulate`` and by ``tests/sim``.
"""
