"""From a grid file to a study: factors, cells, trials, stages and claims.

study               loads a grid; Study, Cell, Trial
grid, yaml_file     the keys of a grid; reading it, with the line of every key
validation_errors   invalid values as messages that name file, line, key and value
json_schema         the schema of grid files for editors
factors             factors and levels; tied_factors change together
overrides           levels laid over the baseline by dotted path
constraints         cells that are excluded or kept
kinds/              the designs, one per file
claims              claims as declared; claim_kinds/ has one kind per file
comparison          the cells that a claim compares
search_space        hyper-parameters to tune or search; early_stopping prunes trials
stages, keys        stages, and the keys by which their results are stored
resources           CPUs and GPUs of one trial
"""
