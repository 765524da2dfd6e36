"""``docs/interfaces/security-module.md`` shows what the switch asks of its security module."""

import ast
import inspect
import re

import pytest
from module_talk import PAGE, REQUESTS, talk
from terminal_talk import MARK, Frames, page_with

from acquirer.payments.kernel.errors import KEY_CODES, PIN_BLOCK_CODES
from acquirer.switch.hsm import client, dukpt, failover

# Texts of two letters that the code has for something else: replies, key schemes.
NO_COMMANDS = {"ND", "UX", "TY"}
TEXT = PAGE.read_text("utf-8")


@pytest.fixture(scope="module")
def frames() -> Frames:
    """What was said, once."""
    return talk()


def test_each_frame_of_the_page_is_as_it_was_said(frames: Frames) -> None:
    """Headers, keys, blocks and MACs are those of the wire, byte for byte."""
    assert page_with(frames, TEXT) == TEXT


def test_the_page_leaves_nothing_out(frames: Frames) -> None:
    """Every exchange that was named is shown, both ways."""
    assert {found[1] for found in MARK.finditer(TEXT)} == set(frames)


def test_every_command_of_the_switch_is_explained() -> None:
    """What the switch's own code sends has a heading, and nothing else has."""
    parts = [
        node.value.decode() if isinstance(node.value, bytes) else node.value
        for module in (client, dukpt, failover)
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    ]
    sent = {text[:2] for text in parts if re.match(r"(?:[A-Z]{2}|[A-Z]\d)(?:0|00|FF)?\Z", text)}
    headings = re.findall(r"^### ([A-Z0-9, ]+):", TEXT, re.M)
    explained = {command for heading in headings for command in heading.split(", ")}
    assert explained == set(REQUESTS) == sent - NO_COMMANDS


def test_the_codes_are_those_that_the_switch_knows() -> None:
    """Refusals of PIN blocks and of keys are the switch's own lists."""
    for codes in (PIN_BLOCK_CODES, KEY_CODES):
        assert f"| {', '.join(sorted(codes))} |" in TEXT
