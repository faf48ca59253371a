"""The executed notebook as one HTML file, without code, scripts or external resources."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode

TEMPLATES = Path(__file__).parent


def page(node: "NotebookNode") -> str:
    """The report as a self-contained HTML page."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        template_name="page",
        extra_template_basedirs=[str(TEMPLATES)],
        exclude_input=True,
        exclude_output_prompt=True,
        exclude_input_prompt=True,
        anchor_link_text="",
        embed_images=False,
    )
    body, _ = exporter.from_notebook_node(node)
    return str(body)
