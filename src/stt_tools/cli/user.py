"""``stt-engine user``: who may log in to the page for reviewers."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.markup import escape

from api_server.store.errors import NoSuchUser, UserExists
from api_server.store.review_records import EXTERNAL, Role
from stt_tools.cli.keeping import made_store_of, store_of
from stt_tools.cli.options import Json, load_settings
from stt_tools.cli.output import out, print_json
from stt_tools.exits import refuse

app = typer.Typer(help="Accounts of the page for reviewers.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A person's name, as it stands beside decisions.")]

_LONGEST_NAME = 100


@app.command()
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="What they may do; docs/review.md.")] = "reviewer",
    external: Annotated[
        bool, typer.Option(help="No password: a proxy or an OIDC provider vouches for them.")
    ] = False,
) -> None:
    """Add an account; its password is asked for, or read from stdin where that is no terminal."""
    from api_server.web.passwords import hash_password  # noqa: PLC0415 - who has the page has it

    if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
        refuse(f"a name has 1 to {_LONGEST_NAME} printable characters")
    try:
        secret_hash = EXTERNAL if external else hash_password(_password())
    except ValueError as exc:
        refuse(str(exc))
    with made_store_of(load_settings()) as store:
        try:
            store.accounts.add(name, role, secret_hash)
        except UserExists as exc:
            refuse(str(exc), exc.error_type)
    out.print(escape(f"{name}  {role}"))


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List accounts, by name."""
    with store_of(load_settings()) as store:
        found = store.accounts.list() if store else []
    if as_json:
        print_json(
            [
                {
                    "name": one.name,
                    "role": one.role,
                    "locked": bool(one.locked_at),
                    "external": one.external,
                }
                for one in found
            ]
        )
        return
    for one in found:
        how = ("  external" if one.external else "") + ("  locked" if one.locked_at else "")
        out.print(escape(f"{one.name}  {one.role}{how}"))


@app.command()
def external(name: Name) -> None:
    """Take an account's password away: who is vouched for next by its name has it."""
    with made_store_of(load_settings()) as store:
        try:
            store.accounts.make_external(name)
        except NoSuchUser as exc:
            refuse(str(exc), exc.error_type)
    out.print(escape(f"{name}  external"))


@app.command()
def lock(
    name: Name,
    undo: Annotated[bool, typer.Option("--undo", help="Unlock it again.")] = False,
) -> None:
    """Lock an account; whoever is logged in with it is logged out."""
    with made_store_of(load_settings()) as store:
        try:
            store.accounts.lock(name, locked=not undo)
        except NoSuchUser as exc:
            refuse(str(exc), exc.error_type)
    out.print(escape(f"{name}  {'unlocked' if undo else 'locked'}"))


def _password() -> str:
    if sys.stdin.isatty():
        found: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return found
    return sys.stdin.readline().rstrip("\r\n")
