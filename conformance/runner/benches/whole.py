#!/usr/bin/env python3
"""Runs the whole catalogue against a subject again and again, idle and with every core kept busy by something else, and compares.

    benches/whole.py [--flightcheck PATH] [--subject NAME] [--runs N]

Each of the 2 N runs must give the verdicts of the first: a check may be inconclusive, where the machine did not run us, but
never fail where it passed. Prints JSON: verdicts that differ, inconclusive ones, and how much longer than its longest
permutation a run takes. Exit code 1 if a verdict differs.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

PROGRAM = pathlib.Path(__file__).resolve().parents[3] / "target" / "debug" / "flightcheck"
BUSY = "while True: pass"


def run(program, subject, file):
    command = [program, "run", subject, "--json", file]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if not file.exists():
        sys.exit(f"error: `{subject}` was not run: {done.stderr.strip()}")
    report = json.loads(file.read_text())
    file.unlink()
    verdicts = {(row["permutation"], c["check"]): c["outcome"] for row in report["rows"] for c in row["checks"]}
    return verdicts, report["took_us"] / 1e6, max(row["took_us"] for row in report["rows"]) / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flightcheck", type=pathlib.Path, default=PROGRAM)
    parser.add_argument("--subject", default="reference")
    parser.add_argument("--runs", type=int, default=20)
    arguments = parser.parse_args()
    if not arguments.flightcheck.exists():
        sys.exit(f"error: `{arguments.flightcheck}` is not there; build it, or name it with --flightcheck")
    first, found, different = None, {}, []
    with tempfile.TemporaryDirectory() as folder:
        for state in ("idle", "busy"):
            cores = os.cpu_count() if state == "busy" else 0
            others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(cores)]
            inconclusive, walls, ratios = 0, [], []
            try:
                for nth in range(arguments.runs):
                    verdicts, wall, longest = run(arguments.flightcheck, arguments.subject, pathlib.Path(folder) / "r.json")
                    first = first or verdicts
                    walls.append(wall)
                    ratios.append(wall / longest)
                    for place in first.keys() | verdicts.keys():
                        one, other = first.get(place), verdicts.get(place)
                        if "inconclusive" in (one, other):
                            inconclusive += other == "inconclusive"
                        elif one != other:
                            different.append({"run": f"{state} {nth + 1}", "check": place, "first": one, "now": other})
                    print(f"{state} {nth + 1}: {wall:.1f} s, {len(different)} differ, {inconclusive} inconclusive", file=sys.stderr)
            finally:
                for other in others:
                    other.kill()
            found[state] = {
                "runs": arguments.runs,
                "inconclusive": inconclusive,
                "seconds": round(statistics.median(walls), 1),
                "times_its_longest_permutation": round(statistics.median(ratios), 2),
            }
    print(json.dumps({**found, "checks": len(first), "different": different}, indent=2))
    return 1 if different else 0


sys.exit(main())
