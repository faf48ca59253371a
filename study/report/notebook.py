"""The notebook: made from the outline, executed by ipykernel in this interpreter; no kernel needs to be installed.

Jupyter and IPython get temporary folders of their own, so the kernel works with a read-only home, leaves no files
behind, and loads no startup files. It listens on the loopback interface only.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.analysis.analysis import Analysis
from study.report.notebook_api import Shown, failure
from study.report.sections import Cell, Text
from study.utils import escape
from study.utils.errors import StudyError

if TYPE_CHECKING:
    from jupyter_client.kernelspec import KernelSpecManager
    from nbclient import NotebookClient
    from nbformat import NotebookNode

TIMEOUT = 300  # seconds a single cell may take


def notebook(study: str, cells: Sequence[Cell]) -> "NotebookNode":
    """The notebook with these cells, not executed. Equal cells give equal notebooks."""
    from nbformat import v4

    nodes = [_node(cell, f"cell-{i}") for i, cell in enumerate(cells, start=1)]
    sections = [cell.title for cell in cells if isinstance(cell, Text) and cell.title and cell.level == 2]
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
        "title": escape.line(study),
        "study": {"sections": sections},
    }
    made: NotebookNode = v4.new_notebook(cells=nodes, metadata=metadata)  # type: ignore[no-untyped-call]
    return made


def _node(cell: Cell, name: str) -> "NotebookNode":
    from nbformat import v4

    make = v4.new_markdown_cell if isinstance(cell, Text) else v4.new_code_cell
    made: NotebookNode = make(cell.written, id=name)  # type: ignore[no-untyped-call]
    return made


def execute(node: "NotebookNode", folder: Path) -> None:
    """Run all cells with `folder` as the working directory; outputs are stored in the notebook.

    The output of a cell that raises, or takes longer than `TIMEOUT`, is one sentence.
    Raises StudyError if the kernel does not start, or dies.
    """
    with tempfile.TemporaryDirectory(prefix="study-kernel-") as private:
        _execute(node, folder, Path(private))
    node.metadata.pop("widgets", None)
    node.metadata["language_info"] = {"name": "python"}  # the kernel adds its own version
    for cell in node.cells:
        cell["outputs"] = [_without_error(output, cell) for output in cell.get("outputs", ())]
        if cell.cell_type != "code":
            del cell["outputs"]


def _without_error(output: "NotebookNode", cell: "NotebookNode") -> "NotebookNode":
    """A sentence in place of a traceback."""
    if output.output_type != "error":
        return output
    error = f"{output.ename}: {escape.line(output.evalue)}"
    if output.ename == "KeyboardInterrupt":
        error = f"it took longer than {TIMEOUT} s"
    return _output(failure(f"This cell could not be executed: {error.rstrip('.')}."), cell.execution_count)


def fill(node: "NotebookNode", cells: Sequence[Cell], analysis: Analysis, folder: Path) -> None:
    """Compute the outputs in this process, as the kernel would; for when no kernel can be started."""
    count = 0
    for cell, target in zip(cells, node.cells, strict=True):
        if isinstance(cell, Text):
            continue
        count += 1
        target.execution_count = count
        target.outputs = [_output(cell.show(analysis, folder), count)] if cell.show else []


def _output(shown: Shown, count: int | None) -> "NotebookNode":
    from nbformat import v4

    made: NotebookNode = v4.new_output(  # type: ignore[no-untyped-call]
        "execute_result", data=shown.forms, metadata=shown.metadata, execution_count=count
    )
    return made


def failures_in(node: "NotebookNode") -> list[str]:
    """The sentences that an executed notebook shows in place of what could not be computed."""
    outputs = [output for cell in node.cells for output in cell.get("outputs", ())]
    found = [output.get("metadata", {}).get("study", {}).get("failure") for output in outputs]
    return [sentence for sentence in found if sentence]


def _execute(node: "NotebookNode", folder: Path, private: Path) -> None:
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import DeadKernelError

    manager = AsyncKernelManager(
        kernel_spec_manager=_this_interpreter(), connection_file=str(private / "kernel.json"), kernel_name="python3"
    )
    log = private / "kernel.log"
    client = NotebookClient(
        node,
        km=manager,
        timeout=TIMEOUT,
        interrupt_on_timeout=True,
        allow_errors=True,
        record_timing=False,
        resources={},
    )
    try:
        with log.open("wb") as stream:
            _run(client, cwd=str(folder), env=_environment(private), stdout=stream, stderr=stream)
    except (DeadKernelError, RuntimeError, OSError) as error:
        client.km = manager  # nbclient drops it, and then warns at exit
        output = log.read_text(errors="replace") if log.exists() else ""
        raise StudyError(f"the notebook kernel stopped: {_last_line(output) or error}") from error


def _run(client: "NotebookClient", **kernel: Any) -> None:
    """In a thread: in the main thread, nbclient would replace the signal handlers, and Ctrl-C would have no effect."""
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
            loop.call_soon_threadsafe(cancel)  # also stops the kernel
            raise


def _this_interpreter() -> "KernelSpecManager":
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

    class ThisInterpreter(KernelSpecManager):
        """Provides one kernel: ipykernel in the running interpreter."""

        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            quiet = ["--HistoryManager.enabled=False", "--log-level=ERROR"]
            return KernelSpec(
                argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", *quiet],
                display_name=kernel_name,
                language="python",
            )

    return ThisInterpreter()


def _environment(private: Path) -> dict[str, str]:
    """The environment of this process, with the same package on the path, and private folders."""
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    folders = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    own = {name: str(private / name.lower()) for name in folders}
    return {
        **os.environ,
        **own,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # ipykernel's debugger would print a warning
        "MPLBACKEND": "agg",
    }


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2].strip()
