"""A software security module that speaks payShield host commands.

``crypto/`` is pure cryptography, ``commands/`` one module per family of commands, ``module.py`` the
engine from request bytes to reply bytes, ``server.py`` its TCP shell, ``operator.py`` what is done
outside host commands. Start reading at :mod:`acquirer.hsm_sim.commands`.
"""
