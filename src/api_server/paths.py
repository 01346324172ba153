"""``file_path`` to a real file inside the allowed roots."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from api_server.problems import Problem


def resolve(file_path: str, roots: Iterable[Path]) -> Path:
    """Follow every link in ``file_path`` and check where it ends.

    Raises:
        Problem: 400 for what is no path or no file, 403 outside the roots, 404 where nothing is.
    """
    if "://" in file_path:
        raise Problem(
            400,
            "url-as-path",
            "file_path is a path on the server, not a URL; upload the recording in 'file' instead.",
        )
    try:
        found = Path(file_path).resolve()
        inside = any(found.is_relative_to(root.resolve()) for root in roots)
        if not inside:
            raise Problem(
                403,
                "outside-roots",
                "file_path is outside the folders this server may read (AUDIO_ROOTS); "
                "upload the recording in 'file' instead.",
            )
        if found.is_dir():
            raise Problem(400, "folder", "file_path is a folder; give the path of one recording.")
        if not found.exists():
            raise Problem(404, "no-such-file", "There is no such file; check file_path.")
    except (OSError, ValueError, RuntimeError) as exc:  # too long, NUL, endless links
        raise Problem(400, "bad-path", f"file_path is not a usable path ({_why(exc)}).") from exc
    return found


def _why(exc: Exception) -> str:
    """Say what is wrong without the system's own words: they hold the whole real path."""
    if isinstance(exc, OSError):
        return exc.strerror or type(exc).__name__
    return "endless links" if isinstance(exc, RuntimeError) else str(exc)
