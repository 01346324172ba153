"""A server that speaks S3 (moto), as a process of its own, to be taken away and brought back."""

from __future__ import annotations

import http.client
import importlib.util
import subprocess
import sys

from stt_tools.drill.fault_server import refused_port
from stt_tools.drill.processes import wait_until

BUCKET = "calls"
URL = f"s3://{BUCKET}/kept"

_START_SEC = 60.0


def why_absent() -> str | None:
    """Return why there is no such server to be had here."""
    found = importlib.util.find_spec("moto") and importlib.util.find_spec("flask")
    return None if found else "no object store to take away is installed here (moto[server])"


class ObjectServer:
    """A server on a free port, with one bucket; what it holds goes when it ends."""

    def __init__(self) -> None:
        self.port = refused_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it where it was, with an empty bucket."""
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until("the object store answers", self._has_bucket, _START_SEC)

    def _has_bucket(self) -> bool:
        """Make the bucket; false while nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("PUT", f"/{BUCKET}")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()

    @property
    def endpoint(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What tells clients of it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_REGION": "us-east-1",
        }

    def stop(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
