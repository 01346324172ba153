"""A container's health check: proves work, with the standard library alone.

``healthcheck.py ready PORT``: the server says that it has recognised a known clip lately.
``healthcheck.py complete PORT``: the LLM server completes one token (its own /health stays 200
while its engine hangs).
``healthcheck.py fresh FILE``: a worker has written its file in the last minute.

Exit code 0 is healthy, 1 is not, with the reason on stdout, where ``docker inspect`` shows it.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import time

DEADLINE_SEC = 15.0
FRESH_SEC = 60.0
HTTP_OK = 200
_SHOWN = 300


class Unhealthy(Exception):
    """The server did not do its work."""


def ask(port: int, deadline: float, method: str, path: str, body: object = None) -> bytes:
    """Return the body of a 200 from loopback (never through a proxy), or raise ``Unhealthy``."""
    left = deadline - time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=max(0.1, left))
    headers = {"Content-Type": "application/json"}
    key = os.environ.get("VLLM_API_KEY")
    if key:
        headers["Authorization"] = f"Bearer {key}"
    content = None if body is None else json.dumps(body)
    try:
        connection.request(method, path, content, headers)
        answer = connection.getresponse()
        data = answer.read()
    except (OSError, http.client.HTTPException) as exc:
        raise Unhealthy(f"{path}: {type(exc).__name__}: {exc}") from exc
    finally:
        connection.close()
    if answer.status != HTTP_OK:
        raise Unhealthy(f"{path}: HTTP {answer.status}: {data[:_SHOWN].decode(errors='replace')}")
    return data


def ready(port: int, deadline: float) -> None:
    """Ask stt-engine."""
    ask(port, deadline, "GET", "/health/ready")


def complete(port: int, deadline: float) -> None:
    """Ask an OpenAI-compatible server for one token of its first model."""
    try:
        model = json.loads(ask(port, deadline, "GET", "/v1/models"))["data"][0]["id"]
        question = {
            "model": model,
            "messages": [{"role": "user", "content": "ping"}],
            "max_tokens": 1,
        }
        answer = json.loads(ask(port, deadline, "POST", "/v1/chat/completions", question))
        answer["choices"][0]["message"]
    except (ValueError, LookupError, TypeError) as exc:
        raise Unhealthy(f"not an answer: {type(exc).__name__}: {exc}") from exc


def fresh(file: str) -> None:
    """Look at the age of what a worker writes every five seconds."""
    try:
        age = time.time() - os.stat(file).st_mtime  # noqa: PTH116 - pathlib takes its time to load
    except OSError as exc:
        raise Unhealthy(f"{file}: {exc.strerror}") from exc
    if age > FRESH_SEC:
        raise Unhealthy(f"{file} was written {age:.0f} s ago")


CHECKS = {"ready": ready, "complete": complete}


def main() -> int:
    """Run the check that the command line names."""
    name, what = sys.argv[1], sys.argv[2]
    try:
        if name == "fresh":
            fresh(what)
        else:
            CHECKS[name](int(what), time.monotonic() + DEADLINE_SEC)
    except Unhealthy as exc:
        sys.stdout.write(f"{exc}\n")
        return 1
    sys.stdout.write("ok\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
