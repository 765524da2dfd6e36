"""Open sockets handed over."""

from __future__ import annotations

import socket

import pytest
import trio

from acquirer.switch.processes.descriptors import Hand, pair

pytestmark = pytest.mark.anyio


async def test_a_socket_arrives_with_its_note_and_works() -> None:
    """Bytes that came before it was handed over are there."""
    near, far = map(Hand, pair())
    given, peer = socket.socketpair()
    peer.send(b"before")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(near.run)
        near.give(given, 7, True)
        handed = await far.next()
        assert handed is not None
        with peer, handed.socket:
            assert [7, True] == handed.note
            assert b"before" == handed.socket.recv(10)
        nursery.cancel_scope.cancel()
    assert given.fileno() == -1


async def test_what_has_not_left_can_be_taken_back() -> None:
    """Where the other end is gone."""
    ours, theirs = pair()
    hand = Hand(ours)
    theirs.close()
    given, peer = socket.socketpair()
    hand.give(given, 7)
    with trio.fail_after(5):
        await hand.run()
        assert await hand.next() is None
    ((note, kept),) = hand.not_given()
    with kept, peer:
        assert ([7], given) == (note, kept)
