"""What this process may take (``ulimit``): raised at the start, and said where too little."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


def raise_open_files(need: int) -> int:
    """Raise what this process may open to ``need`` files; return how many of them it can."""
    if resource is None:
        return need
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= need:
        return need
    wanted = need if hard == resource.RLIM_INFINITY else min(need, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return min(need, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def shortages(open_files: int, memory_mb: int) -> Iterator[str]:
    """Yield a sentence for each limit of this process that is below its need."""
    if resource is None:
        return
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if files != resource.RLIM_INFINITY and files < open_files:
        yield f"ulimit -n is {files}, and {open_files} open files may be needed"
    memory = min(
        (one for one in resource.getrlimit(resource.RLIMIT_AS) if one != resource.RLIM_INFINITY),
        default=None,
    )
    if memory is not None and memory < memory_mb << 20:
        yield f"ulimit -v is {memory >> 10} KiB, and {memory_mb << 10} KiB may be needed"
