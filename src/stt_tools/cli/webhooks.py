"""``stt-engine webhooks``: what could not be delivered, and sending it again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer
from rich.markup import escape

from api_server.store.records import WebhookRecord, WebhookStatus
from stt_tools.cli.keeping import Cursor, Limit, store_of
from stt_tools.cli.options import Json, load_settings
from stt_tools.cli.output import err, out, print_json
from stt_tools.exits import refuse

app = typer.Typer(help="Show webhooks, and send dead ones again.", no_args_is_help=True)


@app.command("list")
def list_(
    status: Annotated[WebhookStatus | None, typer.Option(help="Of this status alone.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """List webhooks, the newest first."""
    with store_of(load_settings()) as store:
        found = store.outbox.list(limit + 1, cursor, status) if store else []
    page, more = found[:limit], len(found) > limit
    if as_json:
        following = str(page[-1].seq) if more else None
        print_json({"webhooks": [_fields(one) for one in page], "next_cursor": following})
        return
    for one in page:
        out.print(_line(one))
    if more:
        err.print(f"more: --cursor {page[-1].seq}")


@app.command()
def resend(
    webhook: Annotated[str | None, typer.Argument(help="A webhook's id.")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="Every dead one.")] = False,
    as_json: Json = False,
) -> None:
    """Send a webhook again, or every dead one, under the id it has; a server does it."""
    if (webhook is None) != dead:
        refuse("give the id of a webhook, or --dead")
    with store_of(load_settings()) as store:
        if store is None:
            refuse("there are no webhooks", "NoSuchWebhook")
        queued = store.outbox.resend(webhook)
    if as_json:
        print_json({"queued": queued})
    else:
        out.print(f"{queued} queued")


def _fields(one: WebhookRecord) -> dict[str, object]:
    return {
        "id": one.id,
        "url": one.url,
        "event": one.event,
        "status": one.status,
        "made_at": _time(one.made_at),
        "tries": one.tries,
        "error": one.error,
    }


def _line(one: WebhookRecord) -> str:
    cause = f"  {one.error}" if one.error else ""
    made = _time(one.made_at)
    return escape(f"{one.id}  {made}  {one.event}  {one.status}  {one.tries}  {one.url}{cause}")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
