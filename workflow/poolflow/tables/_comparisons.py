"""Chains held against each other, seed by seed: what the tables of scores and tests are made of."""

from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pandas as pd

from poolflow.job import StageError
from poolflow.kernels import statistics
from poolflow.repetitions import repetitions_for
from poolflow.tables.curves import CHAIN

UNITS = {"accuracy": ("point", 100), "loss": ("nat", 1), "found": ("class", 1)}
NUMBERS = ["seeds", "missing", "mean", "low", "high", "wins", "p", "comparisons", "p_holm", "p_equal", "spread"]
BAYES = ["below", "within", "above"]


@dataclass
class Setting:
    """The chains of one data set and learner. A run is a chain at one seed: (labels (T,), values (T,))."""

    dataset: str
    learner: str
    seeds: list
    cycles: int
    pools: list = field(default_factory=list)
    variants: dict = field(default_factory=dict)  # {strategy: variant}
    runs: dict = field(default_factory=dict)  # {(initial pool, strategy): {seed: (labels, values)}}

    @property
    def strategies(self):
        """Return the strategies, in the order of the study."""
        return list(self.variants)

    def span(self):
        """Return from how many labels to how many all complete runs go; NaN without any."""
        curves = [run[0] for runs in self.runs.values() for run in runs.values()]
        return (max(x[0] for x in curves), min(x[-1] for x in curves)) if curves else (np.nan, np.nan)


def settings_of(curves, metric):
    """Return the settings of a `curves` table, with the runs that are complete.

    A run is complete where every cycle of its setting is there, with a number of labels and of the metric.

    Raises
    ------
    StageError
        Where the table has no such metric.
    """
    if metric not in curves or curves[metric].isna().all():
        raise StageError(f"curves.csv: found no {metric}, as there are no such images; write another figures.metric")
    found = []
    for (dataset, learner), rows in curves.groupby(["dataset", "learner"], sort=False):
        setting = Setting(dataset, learner, sorted(rows.seed.unique().tolist()), int(rows.cycle.max()))
        for (*_, pool, strategy, variant, seed), run in rows.groupby([*CHAIN, "seed"], sort=False, dropna=False):
            setting.variants.setdefault(strategy, variant)
            if pool not in setting.pools:
                setting.pools.append(pool)
            runs = setting.runs.setdefault((pool, strategy), {})
            run = run.sort_values("cycle")
            whole = run.cycle.tolist() == list(range(setting.cycles + 1))
            if (
                whole
                and np.isfinite(run[["labeled", metric]].to_numpy()).all()
                and (run.labeled.diff().dropna() >= 0).all()
            ):
                runs[int(seed)] = run.labeled.to_numpy(np.float64), run[metric].to_numpy(np.float64)
        found.append(setting)
    return found


def scores_of(setting, budgets):
    """Return {score: {(initial pool, strategy): {seed: value}}} of the complete runs of a setting.

    `area` is the mean over the budget, `start` and `end` the first and the last cycle, `at N` the curve at N labels,
    where all runs get there. The area is that of the labels which all runs have in common.
    """
    start, end = setting.span()
    wanted = {
        "area": lambda run: statistics.normalised_area(*run, start, end),
        "start": lambda run: run[1][0],
        "end": lambda run: run[1][-1],
    } | {
        f"at {count}": lambda run, count=count: statistics.at(*run, count) for count in budgets if start <= count <= end
    }
    if setting.cycles == 0:
        wanted = {"start": wanted["start"]}
    return {
        score: {chain: {seed: float(value(run)) for seed, run in runs.items()} for chain, runs in setting.runs.items()}
        for score, value in wanted.items()
    }


def reference_for(name, setting, reference):
    """Return the strategy that one is compared with: its control, on networks of the same kind, or the reference."""
    control = f"{reference}_{setting.variants.get(name)}"
    return control if control in setting.variants and name != control else reference


def tests(curves, axis, reference, metric, alpha, least_difference, budgets, bayesian):
    """Return the data frame of paired comparisons along an axis, `strategy` or `initial_pool`.

    A row for each pair that share everything else, and for each pair on average over the other axis, where that name is
    empty: at each seed the mean over those that have it. `family` says what the p values were adjusted for: all
    comparisons with the `reference` (of one data set, learner and score), or all `pairs`.
    """
    other = {"strategy": "other_strategy", "initial_pool": "other_pool"}[axis]
    across = "initial_pool" if axis == "strategy" else "strategy"
    columns = ["dataset", "learner", across, axis, other, "score", "family", *NUMBERS]
    columns += [*(BAYES if bayesian else []), "verdict", "seeds_needed", "sentence"]
    sign = -1 if metric.endswith("_loss") else 1
    frames = []
    for setting in settings_of(curves, metric):
        names, others = (setting.strategies, setting.pools)[:: 1 if axis == "strategy" else -1]
        for score, values in scores_of(setting, budgets).items():
            if axis == "strategy" and score == "start":
                continue  # cycle 0 is shared
            for place in [*others, *([""] if len(others) > 1 else [])]:
                for family, pairs in families(names, axis, reference, setting).items():
                    rows = [paired(values, axis, pair, [place] if place else others, setting.seeds) for pair in pairs]
                    frames.append((setting, score, place, family, pairs, rows))
    return _frame(frames, columns, axis, metric, sign, alpha, least_difference, bayesian)


def families(names, axis, reference, setting):
    """Return {family: pairs of names}: each with the reference, and all pairs."""
    found = {"reference": [], "pairs": list(combinations(names, 2))}
    for name in names:
        base = reference_for(name, setting, reference) if axis == "strategy" else reference
        if base in names and name != base:
            found["reference"].append((name, base))
    return found


def paired(values, axis, pair, places, seeds):
    """Return the differences (S,) of a pair at each seed, the mean over places; NaN where one of them is missing."""
    found = []
    for place in places:
        of = [values.get((place, name) if axis == "strategy" else (name, place), {}) for name in pair]
        found.append([of[0].get(seed, np.nan) - of[1].get(seed, np.nan) for seed in seeds])
    return np.mean(found, axis=0)


def _frame(frames, columns, axis, metric, sign, alpha, least, bayesian):
    """Return the data frame of all comparisons, adjusted in their families."""
    together = {}
    for number, (setting, score, place, family, pairs, _) in enumerate(frames):
        if pairs:
            together.setdefault((id(setting), score, family, bool(place)), []).append(number)
    lines = []
    for numbers in together.values():
        setting, score, _, family, _, _ = frames[numbers[0]]
        keys = [(frames[n][2], *pair) for n in numbers for pair in frames[n][4]]
        differences = np.array([row for n in numbers for row in frames[n][5]])
        facts = compared(differences, setting.seeds, alpha, least, sign)
        for at, key in enumerate(keys):
            line = dict(zip(columns, [setting.dataset, setting.learner, *key, score, family], strict=False))
            line |= {name: values[at] for name, values in facts.items()}
            if bayesian:
                line |= dict(zip(BAYES, statistics.signed_rank(differences[at], least), strict=True))
            lines.append(line | {"sentence": sentence(line, axis, metric, alpha, least)})
    return pd.DataFrame(lines, columns=columns)


def compared(differences, seeds, alpha, least, sign=1):
    """Return what some differences (m, S) say, one family: {column: list of m values}.

    `sign` is -1 where less is better.
    """
    there = np.isfinite(differences)
    count = there.sum(axis=1)
    values = np.where(there, differences, 0)
    mean = np.where(count > 0, values.sum(axis=1) / np.maximum(count, 1), np.nan)
    squares = np.where(there, (differences - mean[:, None]) ** 2, 0).sum(axis=1)
    spread = np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)
    low, high = statistics.intervals(differences).T
    p = statistics.sign_flip(differences)
    p_holm = statistics.holm(p)
    comparisons = np.full(len(p), np.isfinite(p).sum())
    p_equal = statistics.holm(statistics.equivalence(differences, least))
    verdict = [decided(*row, alpha, sign) for row in zip(mean, p_holm, p_equal, strict=True)]
    needed = [
        statistics.repetitions_to_decide(width, least, int(number), alpha) if word == "undecided" else np.nan
        for word, width, number in zip(verdict, spread, comparisons, strict=True)
    ]
    facts = {
        "seeds": count,
        "missing": [" ".join(str(seed) for seed, has in zip(seeds, row, strict=True) if not has) for row in there],
        "mean": mean,
        "low": low,
        "high": high,
        "wins": ((sign * values > 0) & there).sum(axis=1),
        "p": p,
        "comparisons": comparisons,
        "p_holm": p_holm,
        "p_equal": p_equal,
        "spread": spread,
        "verdict": verdict,
        "seeds_needed": needed,
    }
    return {name: values.tolist() if isinstance(values, np.ndarray) else values for name, values in facts.items()}


def decided(mean, p, p_equal, alpha, sign=1):
    """Return the word for a comparison: better, worse, equal or undecided."""
    if p <= alpha:
        return "better" if sign * mean > 0 else "worse"
    return "equal" if p_equal <= alpha else "undecided"


def amount(value, metric, sign=False):
    """Return a difference of a metric as text with its unit; an accuracy is in points."""
    unit, factor = UNITS[metric.rpartition("_")[2]]
    number = f"{factor * value:{'+' * sign}.2g}"
    plural = "" if number.lstrip("+-") == "1" else "es" if unit == "class" else "s"
    return f"{number} {unit}{plural}"


def in_words(metric):
    """Return what a metric is called in a sentence."""
    return "classes found" if metric == "classes_found" else metric.replace("_", " ")


def interval_of(low, high, factor=1, digits=".2g"):
    """Return an interval as text after a space, nothing where there is none."""
    return "" if np.isnan(low) else f" [{factor * low:{digits}}, {factor * high:{digits}}]"


def test_of(row):
    """Return the seeds and the p value of a row as text."""
    seeds = f"{row['seeds']} seed{'s' * (row['seeds'] != 1)}"
    of = f" adjusted for {row['comparisons']} comparisons" if row["comparisons"] > 1 else ""
    missing = f", missing: {row['missing']}" if row["missing"] else ""
    p = row["p_equal" if row["verdict"] == "equal" else "p_holm"]
    return f"{seeds}{missing}, p = {p:.2g}{of}"


SCORES = {"area": "on average over the budget", "start": "in the initial pool", "end": "at the last cycle"}


def sentence(row, axis, metric, alpha, least):
    """Return the verdict of a comparison in words, with its numbers."""
    other = row["other_strategy" if axis == "strategy" else "other_pool"]
    across = row["initial_pool" if axis == "strategy" else "strategy"]
    place = f"from {across}" if axis == "strategy" else f"with {across}"
    if not across:
        place = f"over all {'initial pools' if axis == 'strategy' else 'strategies'}"
    where = SCORES.get(row["score"], f"{row['score']} labels")
    name, least_amount = row[axis], amount(least, metric)
    if not row["seeds"]:
        return f"{name} against {other}, {place}: no seed has both, missing: {row['missing']}"
    words = {
        "better": f"{name} is better than {other}",
        "worse": f"{name} is worse than {other}",
        "equal": f"{name} and {other} differ by less than {least_amount}",
        "undecided": f"{name} against {other} is undecided",
    }
    factor = UNITS[metric.rpartition("_")[2]][1]
    number = f"{amount(row['mean'], metric, sign=True)}{interval_of(row['low'], row['high'], factor)}"
    said = f"{words[row['verdict']]}: {number} of {in_words(metric)} {where}, {place} ({test_of(row)})"
    if row["verdict"] != "undecided":
        return said
    if row["seeds"] < (minimum := repetitions_for(row["comparisons"], alpha)):
        said += f"; fewer than {minimum} seeds cannot tell"
    if np.isfinite(row["seeds_needed"]):
        said += f"; about {row['seeds_needed']:g} seeds would find a difference of {least_amount}"
    return said


def targets_of(setting, reference, sign):
    """Return what every complete run of the reference reaches, in whole points below it; [] without a reference."""
    best = [
        (sign * run[1]).max() for (_, name), runs in setting.runs.items() if name == reference for run in runs.values()
    ]
    return [sign * np.floor(100 * min(best) + 1e-9) / 100] if best else []
