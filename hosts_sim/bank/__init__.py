"""The bank core simulator: accounts, PIN verification and durable books behind an ISO 8583 link.

Not the switch's code and not derived from it, so that the two sets of books can be compared.
Start reading at ``host.py`` (what a message means), then ``books.py`` (what it does to money).
"""
