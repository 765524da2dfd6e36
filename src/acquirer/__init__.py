"""acquirer: an ISO 8583 acquiring switch and order-payment platform.

Start reading at ``ARCHITECTURE.md``; a sale is handled in ``payments/cards/sale.py``.
"""

from pathlib import Path

__version__ = "0.1.0"

# In a checkout, import by the real folders, so that debuggers and coverage name them.
_codecs = Path(__file__).with_name("codecs")
if _codecs.is_symlink():
    __path__.insert(0, str(_codecs.resolve().parent))
