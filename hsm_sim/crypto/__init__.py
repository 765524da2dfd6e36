"""Pure cryptography, one module per concept, functions over bytes.

No keys are stored here beyond a bounded cache of cipher objects, and nothing talks payShield.
Simulators of terminals and banks may import this package and nothing else of ``hsm_sim``.
Start reading at :mod:`acquirer.hsm_sim.crypto.des`.
"""
