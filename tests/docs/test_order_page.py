"""``docs/interfaces/order-systems.md`` shows what the switch and an order system say."""

import base64
import hashlib
import hmac
import json
import re

import pytest
from order_talk import OPENAPI, PAGE, PART, talk, with_openapi
from terminal_talk import MARK, Frames, page_with

TEXT = PAGE.read_text("utf-8")
SHOWN = {found[1]: found[2].removesuffix("\n") for found in MARK.finditer(TEXT)}
SIGNED = [name for name, text in SHOWN.items() if "webhook-signature" in text]


@pytest.fixture(scope="module")
def frames() -> Frames:
    """What was said, once."""
    return talk()


def test_each_exchange_of_the_page_is_as_it_was_said(frames: Frames) -> None:
    """Headers, documents and signatures are those of the connection, byte for byte."""
    assert page_with(frames, TEXT) == TEXT


def test_the_page_leaves_nothing_out(frames: Frames) -> None:
    """Every exchange of the conversation is shown, and every type of event among them."""
    assert set(SHOWN) == set(frames)
    told = {name.partition(",")[0] for name in SHOWN if name.startswith("order.")}
    assert told == set(OPENAPI["components"]["schemas"]["Event"]["properties"]["type"]["enum"])


def test_the_tables_are_those_of_the_openapi_document() -> None:
    """Rules, keys and statuses stand in one place; run ``order_talk.py`` to renew."""
    assert with_openapi(TEXT) == TEXT
    shown = {(kind, name) for kind, name, _ in PART.findall(TEXT)}
    operations = {
        operation["operationId"]
        for path in OPENAPI["paths"].values()
        for operation in path.values()
    }
    assert operations == {name for kind, name in shown if kind == "answers"}


@pytest.mark.parametrize("name", SIGNED)
def test_each_signature_can_be_recomputed_from_the_page(name: str) -> None:
    """HMAC-SHA256 under the merchant's secret over id, timestamp and body, as the page says it."""
    head, _, body = SHOWN[name].partition("\n\n")
    headers = dict(re.findall(r"^([a-z-]+): (.*)$", head, re.M))
    document = json.loads(body)
    merchant_id = document.get("data", document)["merchant_id"]
    secrets = dict(line.split() for line in SHOWN["secrets"].splitlines())
    key = base64.b64decode(secrets[merchant_id].removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
    right = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{right}"
    if "opening" in name:
        assert headers["webhook-id"] == f"open_{hashlib.sha256(body.encode()).hexdigest()[:32]}"
