"""Every ``Source:`` leads to a page of the repository, and its part there, or is public."""

import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (
    "bench", "codecs", "config", "docs", "hosts_sim", "hsm_sim", "ledger", "payments", "routing",
    "simulation", "src/acquirer/cli", "switch", "terminals_sim", "tests",
)  # fmt: skip
SUFFIXES = {".py", ".toml", ".yaml", ".md"}
END = re.compile(r'"""|\n\s*\n|\n\s*(?:Args|Returns|Raises|Attributes|>>>)')
COMMENT_END = re.compile(r"\n(?!\s*# )")
PAGE = re.compile(r"(?:docs/[\w/-]+\.(?:md|yaml)|ARCHITECTURE\.md)")
# Who publishes what others can look up; a manual or a program that has a name of its own.
PUBLIC = re.compile(
    r"\b(?:ISO(?:/IEC)? \d|ANSI X9|ASC X9|X9\.\d|NIST SP|FIPS \d|RFC \d|PCI (?:DSS|PIN)|EMV \d"
    r"|ECMA-\d|Visa|Unicode Standard|Standard Webhooks|TOML 1|ASGI 3|Prometheus|SQLite|nginx|CACM"
    r"|unix\(7\)|proc\(5\)|z/OS ICSF|IBM 4758|payShield|programmer's manual|jinja2)"
)


class Source(NamedTuple):
    """One ``Source:`` and where it stands."""

    where: str
    text: str


def sources() -> list[Source]:
    """All of the repository, each on one line."""
    found = []
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*")):
            if file.suffix not in SUFFIXES or file == Path(__file__):
                continue
            text = file.read_text("utf-8")
            for match in re.finditer(r"\bSource: *", text):
                rest = text[match.end() :]
                before = text[: match.start()].rpartition("\n")[2]
                end = (COMMENT_END if before.lstrip().startswith("#") else END).search(rest)
                words = re.sub(r"\n\s*(?:# ?)?", " ", rest[: end.start() if end else None])
                line = text.count("\n", 0, match.start()) + 1
                found.append(Source(f"{file.relative_to(ROOT)}:{line}", words.strip()))
    return found


@lru_cache
def _anchors(page: str) -> list[str]:
    """What a reader finds on a page by its looks: headings, bold words, first cells of rows."""
    text = (ROOT / page).read_text("utf-8")
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    patterns = (r"^#+ (.+)$", r"\*\*([^*]+)\*\*", r"^\| ([^|]+) \|")
    return [
        re.sub(r"[`*]", "", anchor).casefold()
        for pattern in patterns
        for anchor in re.findall(pattern, text, re.M)
    ]


def _named(page: str, words: str) -> list[str]:
    """The places on a page that a source names, as they should be found there."""
    named = [re.sub(r"`", "", quoted) for quoted in re.findall(r'"([^"]+)"', words)]
    for first, joint, second in re.findall(r"\bparts? (\d)(?:(?:, \d)* (and|to) (\d))?", words):
        numbers = range(int(first), int(second) + 1) if joint == "to" else (first, second)
        named += [f"part {number}:" for number in numbers if number]
    for rows in re.findall(r"\brows? (\d(?:(?:,| and) \d)*)", words):
        named += re.findall(r"\d", rows)
    return [name.casefold() for name in named]


def _faults(source: Source) -> list[str]:
    parts = PAGE.split(source.text)
    pages = PAGE.findall(source.text)
    if not pages and not PUBLIC.search(source.text):
        return ["names no page and no standard"]
    faults = []
    for page, words in zip(pages, parts[1:], strict=True):
        if not (ROOT / page).exists():
            faults.append(f"{page} is not there")
            continue
        words = words.partition(";")[0]
        if PUBLIC.search(words):
            continue
        for name in _named(page, words):
            whole = name.isdigit()
            if not any(name == one if whole else name in one for one in _anchors(page)):
                faults.append(f"{page} has no {name!r}")
    return faults


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_source_can_be_found(folder: str) -> None:
    """Pages exist and have the parts, rows and headings that are named; the rest is public."""
    faults = {
        source.where: found
        for source in sources()
        if source.where.startswith(folder) and (found := _faults(source))
    }
    assert faults == {}


def test_there_are_sources() -> None:
    """The search finds what it is for."""
    assert len(sources()) > 100
