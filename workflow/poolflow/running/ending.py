"""What a run says at its end: where the report is, and its verdicts."""

import csv
import os

MOST = 8


def lines(folder, since):
    """Return the lines for a study's folder; none unless its report was made after that time."""
    report = f"{folder}/report.html"
    if not os.path.exists(report) or os.path.getmtime(report) < since:
        return []
    found = []
    for name, across, within in (
        ("strategy_tests", "initial_pool", ("dataset", "learner")),
        ("pool_tests", "strategy", ("dataset", "learner")),
        ("learner_tests", "strategy", ("dataset", "initial_pool")),
    ):
        path = f"{folder}/{name}.csv"
        if not os.path.exists(path):
            continue
        with open(path, newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if (row["score"], row["family"]) == ("area", "reference")]
        together = [row for row in rows if not row[across]] or rows
        places = [", ".join(row[key] for key in within) for row in together]
        several = len(set(places)) > 1
        found += [f"{place}: " * several + row["sentence"] for place, row in zip(places, together, strict=True)]
    more = [f"... and {len(found) - MOST} more"] if len(found) > MOST else []
    return [f"The answers: {report}", *(f"  {text}" for text in [*found[:MOST], *more])]
