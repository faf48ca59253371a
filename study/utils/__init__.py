"""Helpers that import no other package of the project.

cpus         usable CPUs: affinity and control group quota
errors       the base class of all errors for users
text         counts, points and durations in messages
formats      numbers in reports
escape       text in Markdown, HTML and matplotlib
redact       passwords in URLs
records      records of other versions
process      ownership marks: host, process id and start time
stale_dirs   removal of folders left by killed processes
source_code  the digest of a source file
version      the version of this package
provenance   commit, versions and hardware of a result
"""
