"""What the tour shows of an answer, and of the log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

screen = Console(soft_wrap=True, highlight=False)

Answer = dict[str, Any]


def print_answer(answer: Answer, degraded: str | None) -> None:
    """Show an answer of ``POST /transcribe``; ``degraded`` is its header of that name."""
    _fields(
        ("success", answer["success"]),
        ("backend", answer["backend"]),
        ("outcome", answer["outcome"]),
        ("X-STT-Degraded", degraded),
        ("error", answer["error"] and f"{answer['error_type']}: {answer['error']}"),
        ("dummy_reason", answer["dummy_reason"]),
        ("agent_type", answer["agent_type"]),
        ("agent_dummy_reason", answer["agent_dummy_reason"]),
        ("partial_failure_reason", answer["partial_failure_reason"]),
        ("processing_time_sec", round(answer["processing_time_sec"], 1)),
    )
    for segment in answer["segments"][:6]:
        screen.print(
            f"  [dim]{segment['start']:6.1f} s {segment['speaker'] or '':<9}[/dim]"
            f"{escape(segment['text'])}"
        )
    if len(answer["segments"]) > 6:  # noqa: PLR2004
        screen.print(f"  [dim]... {len(answer['segments'])} segments in all[/dim]")
    print_elements(answer["incomplete_elements"])


def _fields(*pairs: tuple[str, object]) -> None:
    for name, value in pairs:
        if value is not None:
            screen.print(f"  {name:<24}{escape(str(value))}")


def print_elements(found: Answer | None) -> None:
    """Show what was found of each element, with the words that prove it."""
    if found is None:
        screen.print("  incomplete_elements     null (nothing was established)")
        return
    screen.print(
        f"  incomplete_elements     model={found['model']} rubric={found['rubric_version']} "
        f"reading={found['reading']}"
    )
    for element in found["elements"]:
        quotes = "; ".join(f'"{one["quote"]}"' for one in element["evidence"])
        told = quotes or element["reason"]
        screen.print(f"    {element['status']:<15}{element['id']:<30}[dim]{escape(told)}[/dim]")
        for quote in element.get("rejected_quotes", []):
            screen.print(f"    {'':<15}[dim]rejected, not in the call: {escape(quote)}[/dim]")


def print_log(file: Path, start: int) -> None:
    """Show the lines of the log from a place on, without those that say nothing of a call."""
    screen.print("  [bold]log[/bold]")
    with file.open(encoding="utf-8") as lines:
        lines.seek(start)
        for line in lines:
            if not any(quiet in line for quiet in ("[uvicorn]", "[Worker]", "[HealthCheck]")):
                screen.print(f"  [dim]{escape(line.rstrip())}[/dim]")
