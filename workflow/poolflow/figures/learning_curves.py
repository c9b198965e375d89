"""Learning curves: mean (line) and standard deviation (band) over the seeds against the number of labels.

`by_strategy` has a panel for each query strategy and a line for each initial pool, `by_pool` the reverse. A point is
a cycle: where the seeds have different numbers of labels, at their mean. A cycle that brought no label in any seed,
as its images have no answer yet, is the last one once more, and is left out. Strategies that train another kind of
network than the plain one have its name in brackets.
"""

import seaborn as sns

from poolflow.job import StageError

NEEDS = ("curves.csv",)
FILE = "{dataset}/{learner}/{view}"
VIEWS = ("by_strategy", "by_pool")
NAMES = {"accuracy": "accuracy (%)", "loss": "cross-entropy (nats)", "found": "with a label"}
COLUMNS = 3


def draw(results, metric, title):
    """Return the figure of a column of `curves`, with a title of its own or the names of data set and learner."""
    table = results.of_names("curves")
    if metric not in table or table[metric].isna().all():
        raise StageError(f"curves.csv: found no {metric}, as there are no such images; write another figures.metric")
    strategies = table.strategy.where(table.variant == "", table.strategy + " (" + table.variant + ")")
    panel, line = (
        ("strategy", "initial_pool") if results.names["view"] == "by_strategy" else ("initial_pool", "strategy")
    )
    table = table.assign(strategy=strategies)
    return curves(table, panel, line, metric, title or f"{results.names['dataset']}, {results.names['learner']}")


def points(table, chain):
    """Return the rows of cycles that brought labels, with the mean over the seeds as the number `labeled` of each."""
    table = table.sort_values("cycle", kind="stable")
    new = table.groupby([*chain, "seed"], sort=False).labeled.diff() != 0  # in the first cycle it is not a number
    cycles = table.groupby([*chain, "cycle"], sort=False)
    mean = cycles.labeled.transform("mean")
    return table.assign(labeled=mean)[new.groupby([table[key] for key in [*chain, "cycle"]]).transform("any")]


def curves(table, panel, line, metric, title):
    """Return the figure of `metric` over the number labelled, a panel for each `panel` and a line for each `line`.

    Where there is cycle 0 alone, the points of a panel stand side by side.
    """
    part, _, kind = metric.partition("_")
    x = "labeled" if table.cycle.any() else line
    seeds = table.seed.nunique()
    table = points(table.assign(value=table[metric] * (100 if kind == "accuracy" else 1)), [panel, line])
    sns.set_theme(style="whitegrid", context="paper")
    grid = sns.relplot(
        data=table,
        x=x,
        y="value",
        hue=line,
        style=line,
        markers=True,
        dashes=False,
        col=panel,
        col_wrap=min(COLUMNS, table[panel].nunique()),
        kind="line",
        errorbar="sd",
        err_style="band" if x == "labeled" else "bars",
        palette=sns.color_palette("colorblind", table[line].nunique()),
        height=2.6,
        aspect=1.25,
    )
    grid.set_axis_labels("labelled images" if x == "labeled" else "", f"{part} {NAMES[kind]}")
    if x != "labeled":
        grid.tick_params(axis="x", labelrotation=90)
    grid.set_titles(panel.replace("_", " ") + ": {col_name}")
    grid.legend.set_title(line.replace("_", " "))
    grid.figure.suptitle(f"{title}: mean ± std over {seeds} seed{'s'[: seeds > 1]}", y=1.02)
    return grid.figure
