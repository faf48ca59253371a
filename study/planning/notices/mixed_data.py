"""Notice: results on one data set were trained on different images or labels (see `study.planning.other_data`)."""

from collections.abc import Iterator

from study.planning.state import StudyState


def mixed_data(state: StudyState) -> Iterator[str]:
    """One sentence per data set and image size. Raises StoreError."""
    used = "Used nevertheless, because of --accept-mixed-data"
    unused = (
        "Not used in any comparison: `run --recompute-outdated` computes them again, and --accept-mixed-data (run, "
        "report) uses them"
    )
    for mixture in state.other_data.mixtures:
        yield f"{mixture}. {used if state.other_data.accepted else unused}."
