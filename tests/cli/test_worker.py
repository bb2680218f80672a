#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Workers on a queue of Redis."""
from brokers import Redis, Workers
from kit import main


class OnRedis(Workers):
    broker_class = Redis


del Workers  # the abstract one is no test

if __name__ == "__main__":
    main(redis=True)
