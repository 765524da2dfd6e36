"""The two libraries that encipher do the same."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquirer.hsm_sim.crypto import engines

des_keys = st.sampled_from((8, 16, 24)).flatmap(lambda n: st.binary(min_size=n, max_size=n))
aes_keys = st.sampled_from((16, 24, 32)).flatmap(lambda n: st.binary(min_size=n, max_size=n))
blocks = st.integers(1, 6).flatmap(lambda n: st.binary(min_size=16 * n, max_size=16 * n))
ivs = st.binary(min_size=16, max_size=16)


def compare(ours: engines.Engine, other: engines.Engine, data: bytes, iv: bytes) -> None:
    """ECB both ways and CBC over two calls."""
    assert other.encrypt(data) == ours.encrypt(data)
    assert other.decrypt(data) == ours.decrypt(data)
    first, second = other.new_cbc(iv), ours.new_cbc(iv)
    assert [first(data), first(data)] == [second(data), second(data)]


@given(des_keys, blocks, ivs)
def test_des(key: bytes, data: bytes, iv: bytes) -> None:
    """DES and TDES of OpenSSL and pycryptodome agree."""
    compare(engines.openssl_des(key), engines.pycryptodome_des(key), data, iv[:8])


@given(st.binary(min_size=8, max_size=8), st.binary(min_size=8, max_size=8), blocks, ivs)
def test_degenerate_des(one: bytes, two: bytes, data: bytes, iv: bytes) -> None:
    """So they do for keys with equal parts, which pycryptodome itself refuses."""
    for key in (one * 2, one * 3, one + one + two, one + two + two, one + two + one):
        compare(engines.openssl_des(key), engines.pycryptodome_des(key), data, iv[:8])


@given(aes_keys, blocks, ivs)
def test_aes(key: bytes, data: bytes, iv: bytes) -> None:
    """AES of OpenSSL and pycryptodome agree."""
    compare(engines.openssl_aes(key), engines.pycryptodome_aes(key), data, iv)


@pytest.mark.parametrize("make", [engines.openssl_des, engines.pycryptodome_des])
def test_parts_of_blocks_are_refused(make: Callable[[bytes], engines.Engine]) -> None:
    """Data that is not whole blocks is refused and leaves nothing behind for the next call."""
    engine = make(bytes(range(24)))
    expected = engine.encrypt(bytes(8))
    for call in (engine.encrypt, engine.decrypt, engine.new_cbc(bytes(8))):
        with pytest.raises(ValueError, match=r"blocks|boundary"):
            call(bytes(7))
    assert expected == engine.encrypt(bytes(8))


@pytest.mark.parametrize(
    "make", [engines.openssl_des, engines.pycryptodome_des, engines.openssl_aes]
)
def test_a_direction_is_made_ready_when_it_is_used(make: Callable[[bytes], engines.Engine]) -> None:
    """A key that only deciphers keeps no context to encipher with: thousands of keys are kept."""
    engine = make(bytes(range(24)))
    ready = [name for name in ("encrypt", "decrypt") if _is_ready(engine, name)]
    engine.decrypt(bytes(16))
    after = [name for name in ("encrypt", "decrypt") if _is_ready(engine, name)]
    assert (ready, after) == ([], ["decrypt"])


def _is_ready(engine: engines.Engine, name: str) -> bool:
    try:
        object.__getattribute__(engine, name)
    except AttributeError:
        return False
    return True
