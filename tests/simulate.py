"""Plays seeded worlds of the whole router and says which do not hold.

python -m tests.simulate --seeds 20000 --start 0 --processes 2
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing import Pool
from pathlib import Path

if __package__:  # run as tests.simulate: the modules beside it are not on the path
    sys.path.insert(0, str(Path(__file__).parent))

from simulation.play import Played, play


def one(seed: int) -> tuple[int, list[str], Counter[str]]:
    played = play(seed)
    counted = Counter(calls=played.calls, requests=played.requests)
    counted.update(played.statuses)
    return seed, played.faults, counted


def results(seeds: range, processes: int) -> Iterator[tuple[int, list[str], Counter[str]]]:
    if processes == 1:
        yield from map(one, seeds)
        return
    with Pool(processes) as pool:
        yield from pool.imap_unordered(one, seeds, chunksize=50)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--most", type=int, default=5, help="failing seeds to show")
    parser.add_argument("--verbose", action="store_true", help="the timeline of every seed")
    chosen = parser.parse_args()
    seeds = range(chosen.start, chosen.start + chosen.seeds)
    if chosen.verbose:
        for seed in seeds:
            say(play(seed).report)
        return 0
    begun, bad, sums = time.perf_counter(), list[int](), Counter[str]()
    for seed, faults, counted in results(seeds, chosen.processes):
        sums.update(counted)
        if faults:
            bad.append(seed)
            say(shown(play(seed)) if len(bad) <= chosen.most else f"seed {seed}: {faults[0]}")
    taken = time.perf_counter() - begun
    say(f"{len(seeds)} worlds, {dict(sums)}, {len(bad)} failed, {taken:.1f} s")
    return 1 if bad else 0


def shown(played: Played) -> str:
    return f"{'=' * 80}\n{played.report}"


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
