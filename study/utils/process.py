"""Which process something belongs to, so that what a killed one left behind can be told from what is in use."""

import contextlib
import os
import socket
from pathlib import Path


def me() -> str:
    """This process as HOST:PID:BIRTH; the same number may be given to a later process, never with the same birth."""
    return f"{socket.gethostname()}:{os.getpid()}:{_birth(os.getpid())}"


def gone(owner: str) -> bool:
    """Whether `owner` was a process of this machine that has ended. Of other machines nothing is known: False."""
    host, _, rest = owner.partition(":")
    number, _, birth = rest.partition(":")
    if host != socket.gethostname() or not number.isdigit():
        return False
    return not _runs(int(number)) or birth not in ("", _birth(int(number)))


def children() -> set[int]:
    """The processes that this one has started and that live; none are known outside Linux."""
    numbers = {int(folder.name) for folder in Path("/proc").glob("[0-9]*")}
    return {number for number in numbers if _stat(number)[1:2] == [str(os.getpid())] and not _is_zombie(number)}


def _runs(process: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        try:
            os.kill(process, 0)
        except PermissionError:
            return True  # another user's process
        return not _is_zombie(process)
    return False


def _stat(process: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on: the second, a name, may hold anything."""
    try:
        return Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []  # no such process, or no such file outside Linux


def _is_zombie(process: int) -> bool:
    return _stat(process)[:1] == ["Z"]


def _birth(process: int) -> str:
    """When a process started, in the kernel's ticks since it did itself; empty where that cannot be known."""
    return "".join(_stat(process)[19:20])
