"""Critical differences: mean rank of each strategy over the data sets; a bar joins those that are not told apart.

By the area under the learning curve, mean over learners, initial pools and seeds (Demsar 2006): Friedman's test, then
Nemenyi's for all pairs at 5 %. From five data sets on.
"""

import matplotlib.pyplot as plt
import scikit_posthocs
import seaborn as sns
from scipy import stats

from poolflow.figures._style import colours

NEEDS = ("scores.csv",)
AT_LEAST = {"datasets": 5, "strategies": 3, "cycles": 1}
FILE = "critical_differences"


def draw(results, metric):
    """Return the figure."""
    return diagram(results.table("scores"), metric.endswith("_loss"))


def diagram(table, less_is_better):
    """Return the figure of the areas in a `scores.csv`."""
    sns.set_theme(style="white", context="paper")
    areas = table[table.score == "area"].pivot_table(index="dataset", columns="strategy", values="value", sort=False)
    ranks = areas.rank(axis=1, ascending=less_is_better).mean()
    p = stats.friedmanchisquare(*areas.to_numpy().T).pvalue
    pairs = scikit_posthocs.posthoc_nemenyi_friedman(areas)
    palette = {name: colour for name, (colour, _) in colours(table.strategy).items()}
    figure, axis = plt.subplots(figsize=(7, 1.6 + 0.22 * len(ranks)), layout="constrained")
    scikit_posthocs.critical_difference_diagram(ranks, pairs, ax=axis, color_palette=palette)
    title = f"Mean ranks over {len(areas)} data sets (1 is best); a bar joins what is not told apart"
    axis.set_title(f"{title}\n(Friedman p = {p:.2g})")
    return figure
