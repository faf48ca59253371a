"""A table of plain text, written out as HTML, Markdown, LaTeX or text; whatever is in its cells is escaped."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from study.report import escape

LONG = 36  # characters above which a LaTeX column wraps
WIDTH = 0.4  # of the line, that a wrapping column takes


@dataclass(frozen=True)
class Column:
    """A heading and one text per row."""

    title: str
    values: Sequence[str]
    right: bool = True  # aligned right, as numbers are

    @classmethod
    def text(cls, title: str, values: Iterable[object]) -> "Column":
        return cls(title, [str(value) for value in values], right=False)

    @classmethod
    def of(cls, title: str, write: Callable[..., str], *numbers: Iterable[object]) -> "Column":
        """Numbers, each written by a function of `study.report.numbers`."""
        return cls(title, [write(*row) for row in zip(*numbers, strict=True)])


@dataclass(frozen=True)
class Table:
    """Columns of equal length, and one sentence that says what they show."""

    columns: tuple[Column, ...]
    caption: str

    @property
    def rows(self) -> list[tuple[str, ...]]:
        return list(zip(*(column.values for column in self.columns), strict=True))

    def html(self) -> str:
        head = "".join(_html_cell("th", column, column.title) for column in self.columns)
        body = "\n".join(
            "<tr>" + "".join(_html_cell("td", *pair) for pair in zip(self.columns, row, strict=True)) + "</tr>"
            for row in self.rows
        )
        caption = f"<caption>{escape.html(self.caption)}</caption>"
        return f"<table>{caption}\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"

    def markdown(self) -> str:
        rule = ["---:" if column.right else ":---" for column in self.columns]
        rows = [[column.title for column in self.columns], *self.rows]
        head, *body = [[escape.markdown(text) for text in row] for row in rows]
        lines = [f"| {' | '.join(row)} |" for row in (head, rule, *body)]
        return "\n".join([escape.markdown(self.caption), "", *lines]) + "\n"

    def latex(self, label: str) -> str:
        """A floating table in the style of the booktabs package."""
        rows = [" & ".join(map(escape.latex, row)) + r" \\" for row in self.rows]
        head = " & ".join(escape.latex(column.title) for column in self.columns) + r" \\"
        return "\n".join(
            [
                r"% Needs \usepackage{booktabs}.",
                r"\begin{table}",
                r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
                rf"\caption{{{escape.latex(self.caption)}}}",
                rf"\label{{{label}}}",
                rf"\begin{{tabular}}{{@{{}}{''.join(map(_latex_column, self.columns))}@{{}}}}",
                *(r"\toprule", head, r"\midrule", *rows, r"\bottomrule"),
                r"\end{tabular}",
                r"\end{table}",
                "",
            ]
        )

    def plain(self) -> str:
        """Columns of equal width, for programs that show text alone."""
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


def _latex_column(column: Column) -> str:
    if column.right:
        return "r"
    longest = max(map(len, column.values), default=0)
    return rf"p{{{WIDTH}\linewidth}}" if longest > LONG else "l"
