"""The shipped demonstration: an estate and what its simulators shall do wrong."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any


def demo_file(name: str) -> dict[str, Any]:
    """A TOML file of this folder, parsed."""
    text = resources.files("acquirer.config.demo").joinpath(name).read_text("utf-8")
    return tomllib.loads(text)
