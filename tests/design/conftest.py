"""Fixtures of the tests of search spaces."""

from helpers.tuning_fixtures import grid as grid
