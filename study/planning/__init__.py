"""What a study will run: its trials and stages, what is stored of them, and what is missing.

state                 StudyState: one look at the store, made once and passed down
notices               what a reader must know before any number
contents              the content of own data, by which their results are found
other_data            stages that were trained on other data than the rest
plan                  cells, trials and stages with their sizes
trials                the trials of a study, given what is stored
adaptive_replicates   replicates that are added while claims are undecided
failed_looks          the trials that had failed when a look was made
record_looks          records the failed trials of each look when it is made
recorded_grids        the grids of the studies that were run with a store
observed              stored results as the table that claims are judged from
claim_power           what the replicates of each claim can decide
claim_registration    the history of the claims in the store
cost                  time, memory and GPU share of the missing stages
tuning_state          the recorded trials of each tuning
stage_source          where a sweep takes its stages from
events                what a sweep reports to its listeners
"""
