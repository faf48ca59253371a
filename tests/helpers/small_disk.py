"""A file system of a few megabytes that can be filled and freed: a tmpfs, which only root may mount."""

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FILLER = "filler"
CHUNKS = (1 << 16, 1 << 12)  # bytes


@dataclass
class SmallDisk:
    """`folder` as a mount point; a plain folder, which cannot be filled, where mounting is not permitted."""

    folder: Path
    megabytes: int = 64
    mounted: bool = False

    def mount(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not sys.platform.startswith("linux") or os.getuid() != 0:
            return
        command = ["mount", "-t", "tmpfs", "-o", f"size={self.megabytes}m", "tmpfs", str(self.folder)]
        self.mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0

    def fill(self, leave: int = 0) -> None:
        """Use all free space, except for `leave` bytes."""
        assert self.mounted
        with (self.folder / FILLER).open("ab", buffering=0) as file:
            for size in CHUNKS:
                with contextlib.suppress(OSError):
                    while file.write(b"\0" * size):
                        pass
            file.truncate(max(0, file.tell() - leave))

    def free(self) -> None:
        """Give the space back."""
        (self.folder / FILLER).unlink(missing_ok=True)

    def unmount(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], capture_output=True, check=False)
        self.mounted = False
