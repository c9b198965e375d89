"""Paired differences at one seed between the chains of a study, from its curves.csv, as a Markdown table.

python benchmarks/paired.py results/mnist-low-budget/curves.csv --of strategy --against random --labels 60 120 660

For each other pool (`--of initial_pool`) or strategy: the mean over the seeds of the difference in test accuracy to the
one it is held against, in points, its 95 % interval (Student's t over the seeds) and the p of the exact sign-flip test,
in which n seeds reach 2 / 2^n at best. A study of several data sets or learners has a table for each.
"""

import argparse

import numpy as np
import pandas as pd
from scipy import stats


def paired(differences):
    """Return mean, lower and upper end of the 95 % interval, and the two-sided p of the exact sign-flip test."""
    n, mean = len(differences), np.mean(differences)
    half = stats.t.ppf(0.975, n - 1) * np.std(differences, ddof=1) / np.sqrt(n)
    test = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=2**n)
    return mean, mean - half, mean + half, test.pvalue


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curves")
    parser.add_argument("--of", choices=["strategy", "initial_pool"], default="strategy")
    parser.add_argument("--against", default="random")
    parser.add_argument("--labels", type=int, nargs="+", required=True)
    args = parser.parse_args()
    fixed = {"strategy": "initial_pool", "initial_pool": "strategy"}[args.of]
    names = ["dataset", "learner", "initial_pool", "strategy"]
    table = pd.read_csv(args.curves, dtype=dict.fromkeys(names, str), keep_default_na=False, na_values={"labeled": ""})
    table = table.assign(value=100 * pd.to_numeric(table.test_accuracy))
    columns = " | ".join(f"{labels} labels" for labels in args.labels)
    for study, part in table.groupby(["dataset", "learner"], sort=False):
        print(f"\n{', '.join(study)}, {part.seed.nunique()} seeds, difference to {args.against} in points\n")
        print(f"| {fixed.replace('_', ' ')} | {args.of.replace('_', ' ')} | {columns} |")
        print("|---" * (2 + len(args.labels)) + "|")
        for (other, name), chain in part.groupby([fixed, args.of], sort=False):
            if name == args.against:
                continue
            control = part[(part[fixed] == other) & (part[args.of] == args.against)]
            cells = []
            for labels in args.labels:
                pair = [rows[rows.labeled == labels].set_index("seed").value for rows in (chain, control)]
                mean, low, high, p = paired((pair[0] - pair[1]).dropna().to_numpy())
                cells.append(f"{mean:+.1f} [{low:+.1f}, {high:+.1f}], p {p:.2f}")
            print(f"| {other} | {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
