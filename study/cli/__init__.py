"""The command line: one module per command or view.

app         all commands and their options
launch      the command `launch`
run         the commands `run`, `report`, `sync` and `ui`
progress    progress bars or lines of a running sweep
time_left   the estimated time left
signals     Ctrl-C and SIGTERM during a sweep
exit_codes  the exit codes of all commands
"""
