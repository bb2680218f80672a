#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Workers on a queue of RabbitMQ."""
from brokers import Rabbit, Workers
from kit import main


class OnRabbit(Workers):
    broker_class = Rabbit


del Workers  # the abstract one is no test

if __name__ == "__main__":
    main()
