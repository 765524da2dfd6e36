"""How a terminal fetches what the switch has for it: the requests, and what their replies say."""

from __future__ import annotations

from dataclasses import dataclass, replace

from acquirer.codecs import bertlv
from acquirer.codecs.errors import RemoteFormatError
from acquirer.terminals_sim import kinds
from acquirer.terminals_sim.messages import Request
from acquirer.terminals_sim.requests import Requests

TOKEN_BYTES = 8
NOTHING, LAST, MORE = b"0", b"1", b"2"


@dataclass(frozen=True, slots=True)
class Download:
    """One kind of download.

    Attributes:
        query, item, end: DE60.3 of its messages; empty for none.
        tags: that name an item.
    """

    query: str
    item: str
    end: str
    tags: tuple[str, ...] = ()


DOWNLOADS = {
    "parameters": Download("", "360", ""),
    "ca_keys": Download("372", "370", "371", ("9F06", "9F22")),
    "ic_parameters": Download("382", "380", "381", ("9F06",)),
    "blacklist": Download("390", "", "391"),
}


class DownloadRequests(Requests):
    """Queries, downloads and their ends."""

    def download_query(self, kind: str, known: int) -> Request:
        """0820: what there is after so many items or pages."""
        fields = {62: f"1{known:02d}".encode("ascii").hex()}
        return self._download(kinds.DOWNLOAD_QUERY, DOWNLOADS[kind].query, fields)

    def download_item(self, kind: str, name: bytes = b"") -> Request:
        """0800: one item, by the data objects that name it; without a name the parameters."""
        fields = {62: name.hex().upper()} if name else {}
        return self._download(kinds.DOWNLOAD, DOWNLOADS[kind].item, fields)

    def download_end(self, kind: str) -> Request:
        """0800: all of a kind has been fetched."""
        return self._download(kinds.DOWNLOAD, DOWNLOADS[kind].end, {})

    def _download(self, kind: kinds.Kind, code: str, fields: dict[int, str]) -> Request:
        return self._request(replace(kind, network_code=code), fields)


def names_in(kind: str, listing: bytes) -> list[bytes]:
    """The names of the items that a query's reply lists.

    Raises:
        RemoteFormatError: it lists none that can be read.
    """
    tags = DOWNLOADS[kind].tags
    found = [item for item in bertlv.parse(listing[1:], "62") if item.tag in tags]
    if not found or len(found) % len(tags):
        raise RemoteFormatError("a query's reply names its items", field="62")
    return [bertlv.build(found[at : at + len(tags)]) for at in range(0, len(found), len(tags))]


def items_in(kind: str, listing: bytes) -> int:
    """By how many items, or pages, a reply brings a terminal on."""
    return len(names_in(kind, listing)) if DOWNLOADS[kind].tags else 1
