"""What tests of commands share; processes of the estate are ``estate_process.py``'s."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
