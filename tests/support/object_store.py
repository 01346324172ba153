"""A server that speaks S3, as a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BUCKET = "calls"
URL = f"s3://{BUCKET}/kept"

_MAKE = (
    "import boto3, sys; boto3.client('s3', endpoint_url=sys.argv[1], region_name='us-east-1',"
    " aws_access_key_id='a', aws_secret_access_key='b').create_bucket(Bucket=sys.argv[2])"
)


class ObjectServer:
    """A server on a free port; what it holds goes with it."""

    def __init__(self, log: Path) -> None:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
        with log.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        self.endpoint = self._told(log)
        subprocess.run([sys.executable, "-c", _MAKE, self.endpoint, BUCKET], check=True)

    def _told(self, log: Path) -> str:
        while self.process.poll() is None:
            found = re.search(r"Running on (http://[\d.:]+)", log.read_text("utf-8"))
            if found:
                return found[1]
        raise RuntimeError(log.read_text("utf-8"))

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
        self.process.kill()
        self.process.wait()


@contextmanager
def object_server(folder: Path) -> Iterator[ObjectServer]:
    server = ObjectServer(folder / "s3.log")
    try:
        yield server
    finally:
        server.stop()
