"""The process that downloads: ``hub REQUEST`` or ``pip ARGUMENTS``. ``sources`` runs it.

It is a process so that a source that hangs can be ended. It ends itself as soon as its standard
input closes, that is, when its parent is gone, so that no two of them ever write one file; the
kernel ends it where it cannot (see :mod:`stt_engine.system.parent_death`).

Unlike ``snapshot_download``, which since huggingface_hub 2 starts an unfinished file over in each
process, it appends to what an earlier process left. A failure is one line on standard error and
exit code 1; the parent starts it again while that brings new bytes.
"""

from __future__ import annotations

import fnmatch
import json
import os
import runpy
import sys
import threading
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

LISTING = "listing.json"
"""Beside the files: what the hub says of a repository that is not in the catalogue."""

CONNECT_SEC = 5.0
READ_SEC = 15.0
_WANTED = ("model.bin", "*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.model")
_UNWANTED = ("*.fp32*", "*/*", ".*", "README*", "flax_*", "tf_*", "training_args*")
_PARTIAL_CONTENT = 206
_RANGE_NOT_SATISFIABLE = 416


def main() -> None:
    """Do what the command line says."""
    sys.excepthook = _one_line
    _guarded()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    kind, *arguments = sys.argv[1:]
    if kind == "pip":
        sys.argv = ["pip", *arguments]
        runpy.run_module("pip", run_name="__main__", alter_sys=True)
    else:
        fetch_from_hub(json.loads(arguments[0]))


def _guarded() -> None:
    sys.path.append(str(Path(__file__).resolve().parents[1]))  # started by its path
    from stt_engine.system.parent_death import die_with_parent  # noqa: PLC0415 - see above

    die_with_parent()


def _end_with_parent() -> None:
    os.read(0, 1)
    os._exit(1)


def _one_line(kind: type[BaseException], exc: BaseException, _: TracebackType | None) -> None:
    words = " ".join(str(exc).split()).partition(" For more information")[0]
    sys.stderr.write(f"ERROR: {kind.__name__}: {words}\n")


def fetch_from_hub(request: dict[str, object]) -> None:
    """Bring every wanted file of one commit into ``request["folder"]``, whole or not at all."""
    folder = Path(str(request["folder"]))
    repo, revision, sizes = str(request["repo"]), request["revision"], request["sizes"]
    if not isinstance(sizes, dict):
        revision, sizes = list_repository(repo, revision, folder)
    for name, size in sizes.items():
        if not (folder / name).exists():
            download(repo, str(revision), name, size, folder)


def list_repository(repo: str, revision: object, folder: Path) -> tuple[str, dict[str, int]]:
    """Ask the hub for the commit and its files, and leave the answer as :data:`LISTING`.

    What an earlier try left from another commit is deleted.
    """
    from huggingface_hub import HfApi  # noqa: PLC0415 - only this process needs the library

    info = HfApi().model_info(repo, revision=revision, files_metadata=True, timeout=READ_SEC)
    files = {
        file.rfilename: {
            "size": file.size,
            "sha256": file.lfs.sha256 if file.lfs else None,
            "git": file.blob_id,
        }
        for file in info.siblings
        if _is_wanted(file.rfilename)
    }
    listing, path = {"revision": info.sha, "files": files}, folder.parent / LISTING
    if path.exists() and json.loads(path.read_bytes()) != listing:
        for old in folder.iterdir():
            old.unlink()
    path.write_text(json.dumps(listing), encoding="utf-8")
    return str(info.sha), {name: int(facts["size"]) for name, facts in files.items()}


def _is_wanted(name: str) -> bool:
    """Whether a file is weights or settings that load without a pickle."""
    return any(fnmatch.fnmatch(name, good) for good in _WANTED) and not any(
        fnmatch.fnmatch(name, bad) for bad in _UNWANTED
    )


def download(repo: str, revision: str, name: str, size: int, folder: Path) -> None:
    """Bring one file, going on where an earlier try stopped; it gets its name once it is whole."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url  # noqa: PLC0415 - see above

    part = folder / f"{name}.part"
    url = hf_hub_url(repo, name, revision=revision)
    found = get_hf_file_metadata(url, timeout=CONNECT_SEC)
    if found.size not in {size, None}:
        raise SystemExit(f"ERROR: the hub has {name} with {found.size} bytes, not {size}")
    have = part.stat().st_size if part.exists() else 0
    if have > size:
        part.unlink()
    if have != size or not part.exists():
        append(url, found.location, part, size)
    part.rename(folder / name)


def append(asked: str, location: str, part: Path, size: int) -> None:
    """Append the missing bytes of ``location`` to ``part`` until it has ``size``."""
    from huggingface_hub import get_session  # noqa: PLC0415 - see above
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # noqa: PLC0415

    have = part.stat().st_size if part.exists() else 0
    headers = build_hf_headers()
    if urlsplit(asked).netloc != urlsplit(location).netloc:
        headers.pop("authorization", None)  # a storage host has no business with the token
    headers |= {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    limits = (CONNECT_SEC, READ_SEC, READ_SEC, CONNECT_SEC)
    with get_session().stream("GET", location, headers=headers, timeout=limits) as answer:
        if answer.status_code == _RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)
        hf_raise_for_status(answer)
        resumed = answer.status_code == _PARTIAL_CONTENT
        with part.open("ab" if resumed else "wb") as file:
            for block in answer.iter_bytes():
                file.write(block)
    if part.stat().st_size != size:
        raise SystemExit(f"ERROR: {part.stem} ended after {part.stat().st_size} of {size} bytes")


if __name__ == "__main__":
    main()
