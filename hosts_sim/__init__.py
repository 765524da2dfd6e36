"""The other sides in software: a bank core and a merchant order system with books of their own."""
