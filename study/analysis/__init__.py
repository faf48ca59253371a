"""From a study's results to what they show: cells, effects, verdicts. Nothing here is drawn or written.

results    the tables that the store gives, and the facts of the study; `read` reads them from a report's folder
analysis   `analyse(results)`: everything computed from them, lazily and once
stats/     the statistics themselves, on plain numbers and tables
Every other file is one analysis: a function from results (and what else it needs) to a table.
"""
