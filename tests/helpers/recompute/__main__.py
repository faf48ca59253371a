"""Compares the reports in the folders given."""

import sys

from helpers.recompute import check

FAILED = 0
for folder in sys.argv[1:]:
    found, compared = check(folder)
    print(f"{folder}: {sum(map(len, compared.values()))} columns in {len(compared)} files, {len(found)} differences")
    for difference in found[:20]:
        print(f"  {difference}")
    FAILED += bool(found)
sys.exit(FAILED)
