# SPDX-License-Identifier: MIT
"""A server that speaks MongoDB's protocol, for tests of the program."""
import pathlib
import subprocess

from kit import free_ports, wait_for
from s3 import S3, is_open


class Mongodb:
    """tests/mongo_server on a free port."""

    jars = S3.deps / "mongo"

    def __init__(self, directory):
        self.port = free_ports(1)
        self.process = subprocess.Popen(
            [pathlib.Path(__file__).parent.parent / "mongo_server", directory, str(self.port)],
            start_new_session=True)
        if not wait_for(lambda: is_open(self.port), 60):
            raise RuntimeError("the MongoDB server does not start")

    def stop(self):
        self.process.kill()
        self.process.wait()
