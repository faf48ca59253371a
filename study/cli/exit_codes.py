"""The exit codes of all commands."""

from enum import IntEnum

from study.utils.errors import RayLostError


class ExitCode(IntEnum):
    """What a command returns to the shell."""

    OK = 0
    FAILED = 1
    INVALID = 2
    RAY_LOST = RayLostError.EXIT_CODE
    INTERRUPTED = 130  # 128 + SIGINT, as in shells


MEANINGS = {
    ExitCode.OK: "success",
    ExitCode.FAILED: "a trial failed, a stored stage is damaged, or a check found an error",
    ExitCode.INVALID: "invalid input, or a store, cluster or server that cannot be used",
    ExitCode.RAY_LOST: "Ray died during the sweep: run the same command again to resume",
    ExitCode.INTERRUPTED: "interrupted: run the same command again to resume",
}
EPILOG = "Exit codes: " + "; ".join(f"{code.value} {meaning}" for code, meaning in MEANINGS.items()) + "."
