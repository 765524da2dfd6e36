"""``acquirer hsm lmk``: production LMKs from components, under passphrases.

``generate`` makes components, one file for each custodian; ``load`` adds them up to an LMK file for
``[[hsm.lmks]]``; ``show-kcv`` tells files apart. No command prints or keeps an LMK in clear.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from acquirer.cli.hsm_output import JsonOption, passphrase, secret_folder, show, telling_refusals
from acquirer.hsm_sim import lmk_store
from acquirer.hsm_sim.configuration import PASSPHRASE_VARIABLE
from acquirer.hsm_sim.errors import HsmConfigError

app = typer.Typer(
    name="lmk", help="Production LMKs: components, files, check values.", no_args_is_help=True
)

_SCHEMES: dict[str, lmk_store.Scheme] = {"variant": "variant", "tdes": "tdes", "aes": "aes"}

COMPONENT_VARIABLE = "ACQUIRER_COMPONENT_PASSPHRASE"

SchemeOption = Annotated[str, typer.Option("--scheme", help="variant, tdes or aes.")]
PassphraseOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        help=f"Its first line is the passphrase; else {PASSPHRASE_VARIABLE}, else a prompt.",
    ),
]
ComponentPassphraseOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--component-passphrase-file",
        help=f"One for each component, in order; else {COMPONENT_VARIABLE}, else a prompt.",
    ),
]


@app.command("generate")
def generate(
    directory: Annotated[Path, typer.Argument(help="Where the component files go.")],
    scheme: SchemeOption = "aes",
    components: Annotated[int, typer.Option("--components", min=2, max=9)] = 3,
    component_passphrase_file: ComponentPassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the components of a new LMK, each in a file under its custodian's passphrase.

    Example: acquirer hsm lmk generate safe/ --scheme aes --components 3

    Give every custodian one file and its check value, then load them together.
    """
    with telling_refusals():
        chosen = _scheme(scheme)
        _one_each(component_passphrase_file, components)
        secret_folder(directory)
        facts = [("scheme", scheme)]
        for number in range(1, components + 1):
            path = directory / f"component-{number}.json"
            secret = _component_passphrase(component_passphrase_file, number, confirm=True)
            component = lmk_store.new_component(chosen, secrets.token_bytes)
            kcv = lmk_store.save(
                path, chosen, component, secret, secrets.token_bytes, component=True
            )
            facts.append((str(path), kcv))
        show(facts, as_json)


@app.command("load")
def load(
    file: Annotated[Path, typer.Argument(help="The LMK file to make.")],
    component: Annotated[
        list[Path], typer.Option("--component", help="A component file; give each custodian's.")
    ],
    passphrase_file: PassphraseOption = None,
    component_passphrase_file: ComponentPassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add components up to an LMK and store it under a passphrase.

    Example: acquirer hsm lmk load lmk-00.json --component a.json --component b.json

    Then name the file in the module's configuration: an hsm.lmks table with id, scheme, file.
    """
    with telling_refusals():
        _one_each(component_passphrase_file, len(component))
        opened = [
            lmk_store.open_secret(
                path, _component_passphrase(component_passphrase_file, number), component=True
            )
            for number, path in enumerate(component, 1)
        ]
        scheme = opened[0][0]
        if any(other != scheme for other, _ in opened):
            raise HsmConfigError("the components are of different schemes")
        secret = lmk_store.combine(scheme, [part for _, part in opened])
        words = passphrase(
            passphrase_file, PASSPHRASE_VARIABLE, "Passphrase of the LMK", confirm=True
        )
        kcv = lmk_store.save(file, scheme, secret, words, secrets.token_bytes)
        show([("file", str(file)), ("scheme", scheme), ("check value", kcv)], as_json)


@app.command("show-kcv")
def show_kcv(
    file: Annotated[Path, typer.Argument(help="An LMK file.")],
    passphrase_file: PassphraseOption = None,
    component: Annotated[bool, typer.Option("--component", help="It is a component.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Open an LMK file and print its check value.

    Example: acquirer hsm lmk show-kcv lmk-00.json
    """
    with telling_refusals():
        variable = COMPONENT_VARIABLE if component else PASSPHRASE_VARIABLE
        words = passphrase(passphrase_file, variable, f"Passphrase of {file}")
        scheme, secret = lmk_store.open_secret(file, words, component=component)
        kcv = lmk_store.check_value(scheme, secret)
        show([("file", str(file)), ("scheme", scheme), ("check value", kcv)], as_json)


def _scheme(text: str) -> lmk_store.Scheme:
    scheme = _SCHEMES.get(text)
    if scheme is None:
        raise HsmConfigError("--scheme is variant, tdes or aes")
    return scheme


def _one_each(files: list[Path] | None, count: int) -> None:
    if files and len(files) != count:
        raise HsmConfigError(f"{len(files)} passphrase files for {count} components")


def _component_passphrase(files: list[Path] | None, number: int, *, confirm: bool = False) -> str:
    return passphrase(
        files[number - 1] if files else None,
        COMPONENT_VARIABLE,
        f"Passphrase of component {number}",
        confirm=confirm,
    )
