"""Merchants' orders: their life, and each thing that may be done with one."""
