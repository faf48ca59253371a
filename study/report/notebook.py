"""The notebook: built from the outline, executed by a kernel of this very interpreter, without any installed kernel.

The kernel gets its own empty folders for everything Jupyter and IPython like to write, so that it works with a
read-only home, leaves nothing behind, and takes no one's startup files along. It talks over the loopback alone.
"""

import asyncio
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.analysis.results import Results
from study.report.sections import Code, Text, outline
from study.utils import escape
from study.utils.errors import StudyError

if TYPE_CHECKING:
    from jupyter_client.kernelspec import KernelSpecManager
    from nbclient import NotebookClient
    from nbformat import NotebookNode

TIMEOUT = 300  # seconds a single cell may take


def notebook(results: Results) -> "NotebookNode":
    """The notebook of a study, not yet executed. Equal results give equal notebooks."""
    from nbformat import v4

    cells = outline(results)
    nodes = [_node(cell, f"cell-{i}") for i, cell in enumerate(cells, start=1)]
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
        "title": escape.line(results.facts.study),
        "study": {
            "sections": [cell.title for cell in cells if isinstance(cell, Text) and cell.title and cell.level == 2]
        },
    }
    made: NotebookNode = v4.new_notebook(cells=nodes, metadata=metadata)  # type: ignore[no-untyped-call]
    return made


def _node(cell: Text | Code, name: str) -> "NotebookNode":
    from nbformat import v4

    make = v4.new_markdown_cell if isinstance(cell, Text) else v4.new_code_cell
    made: NotebookNode = make(cell.written, id=name)  # type: ignore[no-untyped-call]
    return made


def execute(node: "NotebookNode", folder: Path) -> None:
    """Run all cells with `folder` as the working folder; outputs are stored in the notebook.

    Raises StudyError where a cell fails or the kernel does not start.
    """
    with tempfile.TemporaryDirectory(prefix="study-kernel-") as private:
        _execute(node, folder, Path(private))
    node.metadata.pop("widgets", None)
    node.metadata["language_info"] = {"name": "python"}  # the kernel adds its own version


def _execute(node: "NotebookNode", folder: Path, private: Path) -> None:
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    manager = AsyncKernelManager(
        kernel_spec_manager=_this_interpreter(), connection_file=str(private / "kernel.json"), kernel_name="python3"
    )
    log = private / "kernel.log"
    client = NotebookClient(node, km=manager, timeout=TIMEOUT, record_timing=False, resources={})
    try:
        with log.open("wb") as output:
            _run(client, cwd=str(folder), env=_environment(private), stdout=output, stderr=output)
    except CellExecutionError as error:
        raise StudyError(f"the report's notebook could not be executed: {error.ename}: {error.evalue}") from error
    except CellTimeoutError as error:
        raise StudyError(f"the report's notebook took longer than {TIMEOUT} s for one cell") from error
    except (DeadKernelError, RuntimeError, OSError) as error:
        client.km = manager  # nbclient forgets it, and complains at exit that it has
        told = log.read_text(errors="replace") if log.exists() else ""
        raise StudyError(f"the report's notebook kernel stopped: {_last_line(told) or error}") from error


def _run(client: "NotebookClient", **kernel: Any) -> None:
    """In a thread of its own: nbclient takes the signal handlers of the main thread away, and Ctrl-C with them."""
    runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
    loop = runner.get_loop()

    def work() -> None:
        with runner:
            runner.run(client.async_execute(cleanup_kc=True, **kernel))

    def cancel() -> None:
        for task in asyncio.all_tasks(loop):
            task.cancel()

    with ThreadPoolExecutor(1) as pool:
        try:
            pool.submit(work).result()
        except KeyboardInterrupt:
            loop.call_soon_threadsafe(cancel)  # which ends the kernel too
            raise


def _this_interpreter() -> "KernelSpecManager":
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

    class ThisInterpreter(KernelSpecManager):
        """Knows one kernel: ipykernel in the interpreter that is running."""

        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            quiet = ["--HistoryManager.enabled=False", "--log-level=ERROR"]
            return KernelSpec(
                argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", *quiet],
                display_name=kernel_name,
                language="python",
            )

    return ThisInterpreter()


def _environment(private: Path) -> dict[str, str]:
    """This process's environment; the package importable from where it was imported here; private folders."""
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    folders = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    own = {name: str(private / name.lower()) for name in folders}
    return {
        **os.environ,
        **own,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # else the debugger that ipykernel loads prints a warning
        "MPLBACKEND": "agg",
    }


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2].strip()
