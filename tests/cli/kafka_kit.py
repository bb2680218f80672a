# SPDX-License-Identifier: MIT
"""A Kafka broker for tests of the program, and a reader that is not the program's."""
import json
import pathlib
import subprocess

from kit import free_ports, wait_for


class KafkaServer:
    """tests/kafka_server on free ports."""

    def __init__(self, directory):
        self.dir, self.process = pathlib.Path(directory), None
        first = free_ports(3)
        self.ports = [first, first + 1, first + 2]
        self.port, self.tls_port = self.ports[:2]
        self.start()

    def start(self):
        program = pathlib.Path(__file__).parent.parent / "kafka_server"
        self.process = subprocess.Popen([program, self.dir, *map(str, self.ports)])
        if not wait_for(self.is_up, 90):
            raise RuntimeError("the Kafka broker does not start")

    def kill(self):
        self.process.kill()
        self.process.wait()

    stop = kill

    def restart(self, **properties):
        """With other properties; '_' stands for '.'. What is given stays."""
        self.kill()
        with (self.dir / "server.properties").open("a", encoding="ascii") as out:
            out.writelines(f"{k.replace('_', '.')}={v}\n" for k, v in properties.items())
        self.start()

    def kcat(self, *words, check=True):
        return subprocess.run(["kcat", "-b", f"127.0.0.1:{self.port}", *words], check=check,
                              capture_output=True, text=True, timeout=120)

    def is_up(self):
        return "(controller)" in self.kcat("-L", "-m", "1", check=False).stdout

    def has(self, topic):
        return f'topic "{topic}"' in self.kcat("-L", "-m", "10").stdout

    def messages(self, topic):
        """What a reader sees that takes part in transactions."""
        if not self.has(topic):
            return []
        read = self.kcat("-C", "-t", topic, "-e", "-q", "-J",
                         "-X", "isolation.level=read_committed")
        found = []
        for line in filter(None, read.stdout.split("\n")):  # U+2028 ends none
            message = json.loads(line)
            names = message.get("headers", [])
            message["headers"] = dict(zip(names[::2], names[1::2]))
            found.append(message)
        return found


def rows_that_count(messages):
    """Without those that a rollback took back: what is documented for readers."""
    found = []
    for m in messages:
        behind = m["headers"].get("tgdata.rollback")
        if "tgdata.key" in m["headers"]:
            found.append(m)
        elif behind is not None:
            found = [f for f in found if (f["key"] != m["key"] and (m["key"], ":" in f["key"])
                                          != ("0", True))
                     or int(f["headers"]["tgdata.commit"]) <= int(behind)]
    return found
