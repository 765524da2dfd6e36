"""Documents name files that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "ARCHITECTURE.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
FOLDERS = (
    "bench", "codecs", "config", "deploy", "docs", "hosts_sim", "hsm_sim", "ledger", "routing",
    "simulation", "src", "switch", "terminals_sim", "tests",
)  # fmt: skip
NAMED = re.compile(rf"`((?:{'|'.join(FOLDERS)})/[\w./*…-]*)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    """Links lead to files, and folders and modules in backquotes exist."""
    text = page.read_text("utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    gone = [link for link in links if not (page.parent / link).exists()]
    named = [name for name in NAMED.findall(text) if "…" not in name]
    gone += [name for name in named if not list(ROOT.glob(name.rstrip("/")))]
    assert gone == []
