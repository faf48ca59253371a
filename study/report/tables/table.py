"""A table of plain text, rendered as HTML, Markdown, LaTeX or plain text; the content of its cells is escaped."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from string import Template

from study.utils import escape
from study.utils.text import plural

LONG = 30  # characters; a LaTeX column with longer text wraps
MOST_ROWS = 30  # of a LaTeX table; a longer one is broken across pages
MOST_SHOWN = 500  # rows in the notebook and page
WIDTH = 0.3  # of a wrapping LaTeX column, in line widths


@dataclass(frozen=True)
class Column:
    """A heading, and one text per row."""

    title: str
    values: Sequence[str]
    right: bool = True  # alignment: right for numbers, left for text

    @classmethod
    def text(cls, title: str, values: Iterable[object]) -> "Column":
        """A left-aligned column."""
        return cls(title, [str(value) for value in values], right=False)

    @classmethod
    def of(cls, title: str, write: Callable[..., str], *numbers: Iterable[object]) -> "Column":
        """A right-aligned column of numbers; `write` formats each row, see `study.utils.formats`."""
        return cls(title, [write(*row) for row in zip(*numbers, strict=True)])


@dataclass(frozen=True)
class Table:
    """Columns of equal length and a caption; `source` is the file that has all rows of a table that is cut."""

    columns: tuple[Column, ...]
    caption: str
    source: str = ""

    @property
    def rows(self) -> list[tuple[str, ...]]:
        return list(zip(*(column.values for column in self.columns), strict=True))

    def first(self, rows: int = MOST_SHOWN) -> "Table":
        """At most that many rows; the caption of a table that is cut gives their number and where all rows are."""
        count = len(self.rows)
        if count <= rows:
            return self
        columns = tuple(replace(column, values=column.values[:rows]) for column in self.columns)
        where = f"; all rows are in {self.source}" if self.source else ""
        return Table(columns, f"{self.caption} First {rows:,} of {plural(count, 'row')}{where}.", self.source)

    def html(self) -> str:
        head = "".join(_html_cell("th", column, column.title) for column in self.columns)
        body = "\n".join(
            "<tr>" + "".join(_html_cell("td", *pair) for pair in zip(self.columns, row, strict=True)) + "</tr>"
            for row in self.rows
        )
        caption = f"<p>{escape.html(self.caption)}</p>"
        return f"{caption}\n<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"

    def markdown(self) -> str:
        rule = ["---:" if column.right else ":---" for column in self.columns]
        rows = [[column.title for column in self.columns], *self.rows]
        head, *body = [[escape.markdown(text) for text in row] for row in rows]
        lines = [f"| {' | '.join(row)} |" for row in (head, rule, *body)]
        return "\n".join([escape.markdown(self.caption), "", *lines]) + "\n"

    def latex(self, label: str) -> str:
        """For the booktabs package: a float, or a longtable if it has many rows."""
        head = f"{_latex_row(map(escape.latex, (column.title for column in self.columns)))}\n\\midrule"
        body = "\n".join(_latex_row(map(_latex_cell, self.columns, row)) for row in self.rows)
        form = _PAGES if len(self.rows) > MOST_ROWS else _FLOAT
        return form.substitute(
            caption=escape.latex(self.caption),
            label=label,
            columns="".join(map(_latex_column, self.columns)),
            head=head,
            body=body,
        )

    def plain(self) -> str:
        """Aligned columns, for text-only viewers."""
        columns = [[escape.line(text) for text in (column.title, *column.values)] for column in self.columns]
        widths = [max(map(len, texts)) for texts in columns]
        padded = [
            [text.rjust(width) if column.right else text.ljust(width) for text in texts]
            for column, texts, width in zip(self.columns, columns, widths, strict=True)
        ]
        return "\n".join("  ".join(row).rstrip() for row in zip(*padded, strict=True))


def _html_cell(tag: str, column: Column, text: str) -> str:
    # `align` rather than a class or style: code-hosting sites strip those from notebooks
    align = ' align="right"' if column.right else ' align="left"'
    return f"<{tag}{align}>{escape.html(text)}</{tag}>"


def _latex_row(texts: Iterable[str]) -> str:
    return " & ".join(texts) + r" \tabularnewline"


def _latex_cell(column: Column, text: str) -> str:
    shown = escape.latex(text)
    return r"\raggedright " + shown.replace("=", r"=\allowbreak{}") if _wraps(column) else shown


def _latex_column(column: Column) -> str:
    return rf"p{{{WIDTH}\linewidth}}" if _wraps(column) else "r" if column.right else "l"


def _wraps(column: Column) -> bool:
    return not column.right and max(map(len, column.values), default=0) > LONG


_FLOAT = Template(r"""% Needs \usepackage{booktabs}.
\begin{table}
\centering\footnotesize\setlength{\tabcolsep}{4pt}
\caption{$caption}
\label{$label}
\begin{tabular}{@{}$columns@{}}
\toprule
$head
$body
\bottomrule
\end{tabular}
\end{table}
""")

_PAGES = Template(r"""% Needs \usepackage{booktabs,longtable}.
\begingroup
\footnotesize\setlength{\tabcolsep}{4pt}
\begin{longtable}{@{}$columns@{}}
\caption{$caption}\label{$label} \tabularnewline
\toprule
$head
\endfirsthead
\toprule
$head
\endhead
\bottomrule
\endfoot
$body
\end{longtable}
\endgroup
""")
