"""Where plots and tables are shown: the sections of the report, in their order."""

from enum import StrEnum


class Section(StrEnum):
    """A plot or table names its section; headings and texts of sections are in `study.report.sections`."""

    ANSWER = "answer"
    SEARCH = "search"
    SEARCH_TRIALS = "search trials"
    CLAIMS = "claims"
    PARAMETERS = "parameters"
    DEVICE = "device"
    EFFECTS = "effects"
    DATA_SETS = "data sets"
    ADD_VS_REMOVE = "add versus remove"
    INTERACTIONS = "interactions"
    COMPARISONS = "comparisons"
    TEST_IMAGES = "test images"
    PRETRAINING = "pre-training"
    CURVES = "curves"
    EXPERT_LOAD = "expert load"
    TUNING = "tuning"
    REFERENCES = "references"
    UNFINISHED = "unfinished"
    TRIALS = "trials"
    DESIGN = "design"
    PROVENANCE = "provenance"
    REPRODUCE = "reproduce"
