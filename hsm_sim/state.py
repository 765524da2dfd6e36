"""What commands may see of the module: its LMKs, settings, randomness and what is authorised."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from acquirer.hsm_sim.authorisation import Activities, Category
from acquirer.hsm_sim.errors import HsmConfigError, Refusal
from acquirer.hsm_sim.lmk import LocalMasterKey
from acquirer.hsm_sim.pin_policy import is_even_table
from acquirer.hsm_sim.utilisation import Utilisation


@dataclass(frozen=True, slots=True)
class Settings:
    """Security settings, as an operator of a real module makes them at its console.

    Attributes:
        header_length: characters of the message header, 0 to 255.
        test_lmk: whether published test LMKs are accepted.
        pci_key_separation: whether TPK and TMK are key types 70D and 80D instead of 002.
        zmk_length: what a ZMK without scheme letter is.
        pin_digits_max: the longest PIN, 4 to 12; a PIN under the LMK has one digit more.
        refuse_single_as_double: whether double-length keys with equal halves are refused (75).
        firmware: what NC and NO report, 9 characters.
        kcv_digits_max: 6 cuts check values of 16 digits to 6 and fills them up with zeros, except
            in the authorised state.
        tr31_version: version of TR-31 blocks made under TDES keys: A, B or C.
        pin_format_downgrade: whether a PIN may leave its format for a weaker one, or for one that
            binds it to an account in another way. Under a published LMK only ISO format 4 is kept.
        decimalisation_tables: the only ones that are taken, in clear or enciphered; none given,
            any that is even enough.
        pin_tries_max: wrong PINs after which an account is refused (39); 0 counts none.
        pin_tries_window_s: seconds for which an account's wrong PINs are remembered.
    """

    header_length: int = 4
    test_lmk: bool = False
    pci_key_separation: bool = False
    zmk_length: Literal["single", "double"] = "double"
    pin_digits_max: int = 12
    refuse_single_as_double: bool = True
    firmware: str = "0007-E000"
    kcv_digits_max: Literal[6, 16] = 16
    tr31_version: Literal["A", "B", "C"] = "B"
    pin_format_downgrade: bool = False
    decimalisation_tables: tuple[str, ...] = ()
    pin_tries_max: int = 0
    pin_tries_window_s: float = 86_400.0

    def __post_init__(self) -> None:
        if not 0 <= self.header_length <= 255:
            raise HsmConfigError("header_length is 0 to 255")
        if not 4 <= self.pin_digits_max <= 12:
            raise HsmConfigError("pin_length is 4 to 12")
        if self.pin_tries_max < 0 or self.pin_tries_window_s <= 0:
            raise HsmConfigError("pin_tries_max is 0 or more, pin_tries_window_s more than 0")
        if not all(is_even_table(table) for table in self.decimalisation_tables):
            raise HsmConfigError(
                "decimalisation_tables: a table is 16 digits, at least 8 different, none more than "
                "4 times"
            )


class ModuleState:
    """Everything that a command reads or changes.

    Attributes:
        lmks: local master keys by two-digit id.
        default_lmk: the one that serves requests without ``%``.
        settings: security settings.
        random: gives n random bytes.
        authorised: whether an operator has put the module into the authorised state, in which
            every activity is allowed.
        activities: those that he has allowed by name.
        old_lmks: by the id of the one that has taken its place.
        utilisation: what commands have taken.
    """

    __slots__ = (
        "activities",
        "authorised",
        "default_lmk",
        "lmks",
        "old_lmks",
        "random",
        "settings",
        "utilisation",
    )
    utilisation: Utilisation

    def __init__(
        self,
        lmks: Mapping[str, LocalMasterKey],
        default_lmk: str,
        settings: Settings,
        random: Callable[[int], bytes] = secrets.token_bytes,
        now: Callable[[], float] = time.monotonic,
        old_lmks: Mapping[str, LocalMasterKey] | None = None,
    ) -> None:
        if default_lmk not in lmks:
            loaded = ", ".join(sorted(lmks))
            raise HsmConfigError(f"default LMK {default_lmk} is not loaded; there are {loaded}")
        if not settings.test_lmk:
            for lmk_id, lmk in lmks.items():
                if lmk.is_test:
                    raise HsmConfigError(
                        f"LMK {lmk_id} is a published test key; set test_lmk = true to allow that"
                    )
        self.lmks = dict(lmks)
        self.old_lmks = dict(old_lmks or {})
        self.default_lmk = lmks[default_lmk]
        self.settings = settings
        self.random = random
        self.authorised = False
        self.activities = Activities(now)

    def require(self, lmk: LocalMasterKey, category: Category, sub: str = "") -> None:
        """Refuse what no operator has authorised.

        Under a published LMK there is nothing to protect: every activity with keys and data is
        allowed there.

        Args:
            lmk: the one that the request's keys stand under.
            category: of the activity.
            sub: key type code, key block usage or command code.

        Raises:
            Refusal: 17.
        """
        if not (lmk.is_test or self.allows(category, sub)):
            name = f"{category}.{sub}.host" if sub else f"{category}.host"
            raise Refusal("17", f"the activity {name} is not authorised")

    def allows(self, category: Category, sub: str = "") -> bool:
        """Whether an operator has authorised an activity."""
        return self.authorised or self.activities.allow(category, sub)

    def cancel_authorisation(self) -> None:
        """Leave the authorised state, and take back every activity."""
        self.authorised = False
        self.activities.cancel()

    def kcv_16(self, check_value: str) -> str:
        """A check value of 16 digits as policy has it."""
        if self.settings.kcv_digits_max == 6 and not self.authorised:
            return check_value[:6] + "0" * 10
        return check_value

    def old_lmk(self, lmk: LocalMasterKey) -> LocalMasterKey:
        """The local master key whose place another has taken.

        Raises:
            Refusal: 33, there is none.
        """
        for lmk_id, old in self.old_lmks.items():
            if self.lmks[lmk_id] is lmk:
                return old
        raise Refusal("33", "no LMK of the configuration is replaced_by this one")

    def lmk(self, lmk_id: str) -> LocalMasterKey:
        """The local master key with this id.

        Raises:
            Refusal: 13, there is none.
        """
        found = self.lmks.get(lmk_id)
        if found is None:
            raise Refusal("13", "no LMK with this identifier is loaded")
        return found
