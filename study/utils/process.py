"""Process identity: whether the owner recorded in a file or a lease is still running."""

import contextlib
import os
import socket

import psutil  # type: ignore[import-untyped]  # it ships no types


def current_process() -> str:
    """This process as HOST:PID:START. The system may reuse a PID, but never with the same start time."""
    return f"{socket.gethostname()}:{os.getpid()}:{_start_time(os.getpid())}"


def has_ended(owner: str) -> bool:
    """Whether `owner` was a process of this machine that has ended; False for a process of another machine."""
    host, _, rest = owner.partition(":")
    pid, _, recorded = rest.partition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    start = _start_time(int(pid))
    return start is None or (recorded != "" and start not in ("", recorded))


def children() -> set[int]:
    """PIDs of the running processes that this process started."""
    return {child.pid for child in psutil.Process().children() if _start_time(child.pid) is not None}


def marked(variable: str, value: str) -> set[int]:
    """PIDs of the other running processes that have this variable in the environment with which they started."""
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(variable) == value:
                found.add(process.pid)
    return found


def _start_time(pid: int) -> str | None:
    """When a process started, in hundredths of a second since boot: the system clock may be changed meanwhile.

    None if there is no such process, or it is a zombie; empty if the process exists but may not be inspected.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return str(round(100 * (process.create_time() - psutil.boot_time())))
    except psutil.AccessDenied:
        return ""
    except psutil.NoSuchProcess:
        return "" if _is_hidden(pid) else None


def _is_hidden(pid: int) -> bool:
    """Whether the process exists but belongs to another user whose processes are not listed (hidepid)."""
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)
    except OverflowError:  # no PID is that large
        pass
    return False
