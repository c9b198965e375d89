"""Labels saved: the share of random's labels that each strategy does not need to reach an accuracy, with its interval.

A panel for each initial pool, a marker for each target. Where a strategy or random does not get there at some seed, it
says so.
"""

from poolflow.figures import _style
from poolflow.figures._style import colours, lowest, panels

NEEDS = ("label_savings.csv",)
AT_LEAST = {"strategies": 2, "cycles": 1, "references": 1}
FILE = "{dataset}/{learner}/label_savings"


def draw(results, metric):
    """Return the figure."""
    return dots(results.of_names("label_savings"), results.strategies, metric, ", ".join(results.names.values()))


def dots(table, strategies, metric, title):
    """Return the figure of the rows of a `label_savings.csv`."""
    factor, unit = (100, " %") if metric.endswith("accuracy") else (1, "")
    compared = table[table.strategy != table.other_strategy]
    pools, names = list(compared.initial_pool.unique()), list(compared.strategy.unique())
    targets, styles = list(compared.target.unique()), colours(strategies)
    figure, axes, used = panels(len(pools), height=0.9 + 0.35 * len(names), legend=1.4)
    for axis, pool in zip(used, pools, strict=True):
        axis.axvline(0, color="0.1", linewidth=1, linestyle="--")
        for number, target in enumerate(targets):
            rows = compared[(compared.initial_pool == pool) & (compared.target == target)].set_index("strategy")
            for place, name in enumerate(names):
                row, y = rows.loc[name], place + 0.5 * ((number + 0.5) / len(targets) - 0.5)
                if row.seeds:
                    style = {
                        "color": styles[name][0],
                        "marker": _style.MARKERS[number % len(_style.MARKERS)],
                        "markersize": 5,
                    }
                    axis.plot(100 * row.saved, y, linestyle="", **style)
                    axis.hlines(y, 100 * row.low, 100 * row.high, color=styles[name][0])
                if row.seeds < row.pairs:
                    text = f"not reached in {row.pairs - row.seeds:g} of {row.pairs:g}"
                    axis.text(100 * row.saved if row.seeds else 0, y + 0.12, text, fontsize=6, ha="center", va="top")
        axis.set_yticks(range(len(names)), names)
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.set_title(f"initial pool: {pool}")
    for axis in lowest(axes, used):
        axis.set_xlabel("fewer labels than random (%)")
    handles = [
        used[0].plot(
            [],
            [],
            color="0.3",
            linestyle="",
            marker=_style.MARKERS[at % len(_style.MARKERS)],
            label=f"{factor * target:g}{unit}",
        )[0]
        for at, target in enumerate(targets)
    ]
    words = metric.replace("_", " ")
    figure.legend(handles=handles, title=f"to reach a\n{words} of", loc="outside right center", frameon=False)
    interval = " with 95 % interval" if compared.low.notna().any() else ""
    figure.suptitle(f"{title}: labels saved, mean{interval} over {compared.pairs.max():g} seeds")
    return figure
