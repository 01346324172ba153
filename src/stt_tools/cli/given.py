"""The recordings that a command was given: files, and those in folders."""

from __future__ import annotations

from pathlib import Path

from stt_tools.exits import refuse

_NO_RECORDINGS = (
    *(".json", ".csv", ".tmp", ".part", ".partial", ".crdownload"),
    *(".txt", ".srt", ".vtt", ".tsv", ".lrc"),
)
"""Endings of what stands beside recordings: metadata, halves, transcripts of them."""


def given_recordings(given: list[Path], pattern: str) -> list[tuple[Path, Path]]:
    """Return every recording that was meant, each once, and what it is called by.

    That is the name of a file that was named itself, and the path below a folder that was.

    Raises:
        CommandFailed: one is not there, a folder cannot be read, or there is none.
    """
    found: dict[Path, Path] = {}
    for path in given:
        if path.is_dir():
            found |= {one: one.relative_to(path) for one in _inside(path, pattern)}
        elif path.exists():
            found[path] = Path(path.name)
        else:
            refuse(f"FileNotFoundError: {path}: no such file or folder", "FileNotFoundError")
    if not found:
        where = ", ".join(map(str, given))
        refuse(f"no recording in {where} matches {pattern} (--pattern)", "FileNotFoundError")
    return list(found.items())


def _inside(folder: Path, pattern: str) -> list[Path]:
    if pattern.startswith("/") or ".." in Path(pattern).parts:
        refuse("--pattern: names below the folder, as *.wav or **/*.wav")
    try:
        next(folder.iterdir(), None)  # a pattern passes over what may not be read
        return sorted(one for one in folder.glob(pattern) if _is_recording(one, folder))
    except OSError as exc:
        refuse(f"{folder}: {exc.strerror}", type(exc).__name__)


def _is_recording(path: Path, folder: Path) -> bool:
    hidden = any(one.startswith(".") for one in path.relative_to(folder).parts)
    return not hidden and not path.name.lower().endswith(_NO_RECORDINGS) and path.is_file()
