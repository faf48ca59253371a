"""What the soak test (`nox -s soak`) derives from its samples."""

import subprocess
import sys

import pytest
from bench_soak import FEWEST, Life, measures, table
from helpers import measured

MIB = 2**20


def life(sizes: list[int], verb: str = "run") -> Life:
    """A driver with these sizes in MiB, one every minute."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return Life(process, verb, [(60.0 * minute, size * MIB, 40, 30) for minute, size in enumerate(sizes)])


def test_growth_is_that_after_the_start() -> None:
    settled = [400 + 2 * minute for minute in range(FEWEST)]
    assert life([0, 100, 200, 300, *[390] * 16, *settled]).growth == pytest.approx(120)
    assert life([500] * 2 * FEWEST).growth == pytest.approx(0)
    assert life([500] * FEWEST).growth is None


def test_the_process_itself_is_sampled() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    sampled = Life(process, "run")
    sampled.sample(1.0)
    process.communicate(b"\n")
    sampled.sample(2.0)  # it has ended
    ((now, size, descriptors, threads),) = sampled.samples
    assert now == 1.0
    assert size > MIB
    assert descriptors >= 3
    assert threads >= 1


def test_the_table_has_the_largest_numbers_of_all_drivers_but_not_of_the_report() -> None:
    lives = [life([500] * 100), life([300 + minute for minute in range(100)]), life([9000] * 100, "report")]
    seconds = {"stored": 60.0, "delivered": 120.0, "reported": 9.0}
    rows = measured.rows(table(measures(lives, {"driver": 3, "server": 2}, 1005, seconds, 7 * MIB)))
    assert rows["trials"] == "1,000"
    assert rows["restarts"] == "3 of a driver, 2 of a server"
    assert rows["until all were delivered"] == "2.0 min, 119 ms per trial"
    assert rows["memory of a driver, at most"] == "0.49 GiB"
    assert rows["its growth once settled, at most"] == "60 MiB per hour"
    assert rows["size of the database"] == "7 MiB"
