"""Tests of documents: what a page shows is what the product does."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
