"""A software security module that speaks payShield host commands."""
