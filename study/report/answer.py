"""A finding of a report: its subject and its sentences."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """A finding: its subject in a few words, and one or two sentences. Both are plain text, not markup."""

    about: str
    text: str
    failed: bool = False  # the text is the reason

    def __str__(self) -> str:
        return f"{self.about}: {self.text}"
