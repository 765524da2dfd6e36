"""The terminal of ``examples/`` works as its page says, with nothing of the switch in it."""

import ast
import re
import subprocess
import sys
from pathlib import Path

from estate_process import up

EXAMPLE = Path(__file__).parents[2] / "examples" / "terminal.py"
ALLOWED = sys.stdlib_module_names | {"cryptography"}


def test_it_signs_on_sells_and_reverses(tmp_path: Path) -> None:
    """Three transactions with a running switch, each approved."""
    with up(tmp_path / "data") as (_, ready):
        command = [sys.executable, str(EXAMPLE), *ready["pos"].split(":")]
        ran = subprocess.run([*command, "100"], capture_output=True, text=True, check=False)
        again = subprocess.run(command, capture_output=True, text=True, check=False)
    for one in (ran, again):
        assert "" == one.stderr
        sign_on, sale, reversal = one.stdout.splitlines()
        assert sign_on.split() == ["sign-on", "00"]
        assert re.fullmatch(r"sale +00 RRN [0-9]{12} approval \w{6}", sale)
        assert reversal.split() == ["reversal", "00"]


def test_it_knows_nothing_of_the_switch() -> None:
    """It imports the standard library and cryptography, and is short."""
    text = EXAMPLE.read_text("utf-8")
    roots = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert {str(name).partition(".")[0] for name in roots} <= ALLOWED
    assert len(text.splitlines()) <= 165
