"""Fixtures that tests of analyses and of reports share."""

from helpers.report_fixtures import built as built
from helpers.report_fixtures import study as study
