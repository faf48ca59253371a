"""`study` as a driver that believes to be on another host: `python driver_on_host.py HOST run ...`.

Its heartbeats expire within seconds instead of minutes, so that a test can wait for that.
"""

import os
import platform
import socket
import sys

HEARTBEAT, EXPIRY = 1.0, 10.0  # seconds


def main() -> None:
    host = sys.argv[1]
    socket.gethostname = platform.node = lambda: host
    from study.store import heartbeats

    heartbeats.HEARTBEAT, heartbeats.EXPIRY = HEARTBEAT, EXPIRY
    from study.cli.app import main as study

    sys.argv[:2] = ["study"]
    study()


if __name__ == "__main__":
    sys.path[0] = os.getcwd()  # as `python -m study`: not the folder of this file
    main()
