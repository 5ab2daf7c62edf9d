"""kill -9, flipped bits, full disks and bad inputs in numbers; prints a report, and every defect.

uv run python -m benchmarks.soak --kills 200 --flips 500 --fills 60 --inputs 2000
"""

import argparse
import platform
import random
import sys
import tempfile
import time
from collections import Counter
from datetime import date
from pathlib import Path

from benchmarks.soak import fills, flips, inputs, kills
from benchmarks.soak.runner import warm_up
from benchmarks.soak.states import States, build_states


def told(defect: str) -> str:
    """A defect, printed at once to standard error, as the tables go to standard output."""
    print(f"\ndefect: {defect}", file=sys.stderr, flush=True)
    return defect


def soak_kills(states: States, number: int, scratch: Path, generator: random.Random) -> list[str]:
    """Kill commands in turn; print a row for each command."""
    print("\n| command | kills | defects |\n|---|---|---|")
    defects = []
    for position, scenario in enumerate(kills.SCENARIOS):
        share = number // len(kills.SCENARIOS) + (position < number % len(kills.SCENARIOS))
        if not share:
            continue
        try:
            whole, ended = kills.expected(states, scenario, scratch)
        except RuntimeError as error:
            defects.append(told(str(error)))
            continue
        wrong = [kills.kill(states, scenario, whole, ended.seconds, scratch, generator) for _ in range(share)]
        found = [told(one) for one in wrong if one is not None]
        defects += found
        print(f"| {scenario.name} ({ended.seconds:.2f} s) | {share} | {len(found)} |", flush=True)
    return defects


def soak_flips(states: States, number: int, scratch: Path, generator: random.Random) -> list[str]:
    """Flip bits of every kind of file; print a row for each kind."""
    print("\n| file | flips | noticed | same result | defects |\n|---|---|---|---|---|")
    defects = []
    for position, target in enumerate(flips.TARGETS):
        share = number // len(flips.TARGETS) + (position < number % len(flips.TARGETS))
        if not share:
            continue
        try:
            whole = flips.expected(states, target, scratch)
        except RuntimeError as error:
            defects.append(told(str(error)))
            continue
        results = [flips.flip(states, target, whole, scratch, generator) for _ in range(share)]
        counts = Counter(kind for kind, _ in results)
        defects += [told(text) for kind, text in results if kind == "defect"]
        print(f"| {target.kind} | {share} | {counts['noticed']} | {counts['same result']} | {counts['defect']} |", flush=True)
    return defects


def soak_fills(states: States, number: int, scratch: Path, generator: random.Random) -> list[str]:
    """Fill the disk under commands; print a row for each."""
    disk = scratch.with_name("disk")
    if not fills.can_mount(disk):
        print("\nNo disk was filled: this process may not mount one.")
        return []
    print("\n| command | disks | too small | defects |\n|---|---|---|---|")
    defects = []
    for position, scenario in enumerate(kills.SCENARIOS):
        share = number // len(kills.SCENARIOS) + (position < number % len(kills.SCENARIOS))
        if not share:
            continue
        whole, _ = kills.expected(states, scenario, scratch)
        growth = fills.growth_of(states, scenario, disk)
        results = [fills.fill(states, scenario, whole, growth, disk, generator) for _ in range(share)]
        found = [told(one) for _, one in results if one is not None]
        defects += found
        print(f"| {scenario.name} | {share} | {sum(full for full, _ in results)} | {len(found)} |", flush=True)
    return defects


def soak_inputs(states: States, number: int, scratch: Path, generator: random.Random) -> list[str]:
    """Mutated files and words; print how the calls ended."""
    flags, defects, codes = inputs.flags_of(states), [], Counter[int]()
    for _ in range(number):
        code, wrong = inputs.attack(states, inputs.random_attack(states, flags, generator), scratch)
        codes[code] += 1
        if wrong is not None:
            defects.append(told(wrong))
    ends = ", ".join(f"{count} with exit code {code}" for code, count in sorted(codes.items()))
    print(f"\n{number} bad inputs: {ends}; {len(defects)} defects.")
    return defects


def main() -> int:
    """Run the attacks; 1 if there was a defect."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("kills", 200), ("flips", 500), ("fills", 60), ("inputs", 2000)):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"number of {name}")
    parser.add_argument("--seed", type=int, default=0, help="of all random choices")
    given = parser.parse_args()
    start = time.monotonic()
    warm_up()
    about = f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, seed {given.seed}."
    print(f"# Soak, {date.today().isoformat()}\n\n{about}")
    with tempfile.TemporaryDirectory() as temporary:
        states, scratch = build_states(Path(temporary) / "states"), Path(temporary) / "scratch"
        parts = ((soak_kills, given.kills), (soak_flips, given.flips), (soak_fills, given.fills), (soak_inputs, given.inputs))
        defects = [
            defect
            for position, (part, number) in enumerate(parts)
            for defect in (part(states, number, scratch, random.Random(f"{given.seed} {position}")) if number else [])
        ]
    print(f"\n{len(defects)} defects, {(time.monotonic() - start) / 60:.0f} minutes.")
    return 1 if defects else 0


if __name__ == "__main__":
    raise SystemExit(main())
