"""Where the commands write: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from stt_engine.result import WarningResult

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)


def print_json(value: object) -> None:
    """Print ``value`` as JSON on stdout."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def show_warnings(warnings: Iterable[WarningResult]) -> None:
    """Print an answer's warnings on stderr."""
    for one in warnings:
        err.print(
            f"[yellow]{escape(one['message'])}[/yellow] ({one['code']}: {escape(one['detail'])})"
        )


def plain(facts: dict[str, Any]) -> dict[str, Any]:
    """Return ``facts`` with paths as text."""
    return {key: str(one) if isinstance(one, Path) else one for key, one in facts.items()}
