"""What to install, where the command line cannot be imported."""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import PackageNotFoundError, distribution, requires

from stt_tools.exits import USAGE

_EXTRA = "server"
_REQUIREMENT = re.compile(r"([\w.-]+).*extra == ['\"](\w+)['\"]")


def tell_missing(error: ModuleNotFoundError) -> int:
    """Print which extra holds what is not installed, and return the exit code.

    Raises:
        ModuleNotFoundError: ``error``, where no extra holds what it misses.
    """
    missing = [name for name in _of_extra() if not _is_installed(name)]
    if not missing:
        raise error
    words = f"not installed: {', '.join(missing)}; run: pip install 'stt-engine[{_EXTRA}]'"
    if "--json" in sys.argv[1:]:
        told = {"success": False, "error_type": "ExtraMissing", "error": words, "exit_code": USAGE}
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        sys.stderr.write(f"{words}\n")
    return USAGE


def _of_extra() -> list[str]:
    try:
        found = [_REQUIREMENT.fullmatch(one) for one in requires("stt-engine") or ()]
    except PackageNotFoundError:
        return []
    return [one[1] for one in found if one and one[2] == _EXTRA]


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True
