"""What every query strategy asks for from the same state, and what that costs: a table and pictures.

    python benchmarks/strategies.py DATA_ROOT OUT_FOLDER [--rows N] [--strategies a,b]

MNIST (DATA_ROOT has MNIST/raw), a LeNet trained on 600 random images with the default settings; each strategy asks for
60 more with its default parameters, in a process of its own as a rule runs it. `--rows` is `pool.subset`, 0 for all.
`random`, `entropy` and `coreset` always run, the others are compared with them. OUT_FOLDER gets `overview.png`,
`overlap.png`, a contact sheet `sheets/<strategy>.png` and the labelled set `labeled/<strategy>.h5` of each strategy.
The exit status is 1 when a strategy failed.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
from common import ENVIRONMENT, command, machine, measured

from poolflow.data.known_pool import KnownPool, shared
from poolflow.data.labeled import read_labeled
from poolflow.study import chains, plugins, settings
from poolflow.study.config import check

FAMILIES = {
    "uncertainty": (
        "entropy least_confidence margin svm_distance dbal mc_least_confidence mc_margin bald power_bald learning_loss "
        "emoc"
    ),
    "committee": "ensemble_entropy ensemble_least_confidence ensemble_margin variation_ratio vote_entropy vote_margin",
    "diversity": "coreset cdal kmeans kmeans_plus_plus typiclust prob_cover max_herding vaal",
    "both": "badge bait batch_bald cluster_margin diverse_mini_batch drop_query uherding",
    "sets": "emoc_sets min_sets one_vs_two_sets max_sets random_sets",
    "control": "random most_certain",
}
# Strategies that get a smaller pool, with a state of its own: rows, reason.
SMALLER = {"vaal": (6000, "20 epochs over 60,000 images take an hour on one thread")}
REFERENCES = ("random", "entropy", "coreset")
INITIAL, BUDGET, SHOWN, DRAWS = 600, 60, 20, 200
PLAIN = "plain"  # the folder of the network that is no variant
LEARNER = "mnist/lenet"
STUDY = {
    "study": "strategies",
    "datasets": ["mnist"],
    "learners": ["lenet"],
    "initial_pools": ["random"],
    "strategies": plugins.names("strategies"),
    "initial_size": INITIAL,
    "budget": BUDGET,
    "cycles": 1,
    "device": "cpu",
}


def main(root, out, rows, only):
    order = {name: family for family, names in FAMILIES.items() for name in names.split()}
    if missing := sorted(set(plugins.names("strategies")) ^ set(order)):
        sys.exit(f"FAMILIES and workflow/poolflow/strategies differ in {', '.join(missing)}")
    if unknown := sorted(set(only) - set(order)):
        sys.exit(f"--strategies: found {', '.join(unknown)}, expected some of {', '.join(sorted(order))}")
    wanted = [name for name in order if not only or name in only or name in REFERENCES]
    sizes = {name: smaller(rows, name) for name in wanted}
    if any(0 < size < INITIAL + BUDGET for size in sizes.values()):
        sys.exit(f"--rows: found {rows}, expected at least {INITIAL + BUDGET}, or 0 for all")
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = folder / "dataset.h5"
        stage("dataset", "mnist", {"dataset": "mnist", "parameters": {}}, {"root": root, "out": dataset})
        costs = {}
        for size in dict.fromkeys(sizes.values()):
            names = [strategy for strategy in wanted if sizes[strategy] == size]
            names += [strategy for strategy in REFERENCES if strategy not in names]
            for strategy, cost in acquire_all(folder / str(size), dataset, size, names).items():
                if sizes[strategy] == size:
                    costs[strategy] = cost
        failed = {strategy: cost for strategy, cost in costs.items() if isinstance(cost, str)}
        states = {size: State(folder / str(size), dataset) for size in dict.fromkeys(sizes.values())}
        print_table(order, sizes, costs, states)
        Path(out, "labeled").mkdir(parents=True, exist_ok=True)
        done = [strategy for strategy in wanted if strategy not in failed]
        for strategy in done:
            shutil.copy(folder / str(sizes[strategy]) / strategy / "labeled.h5", Path(out, "labeled", f"{strategy}.h5"))
        if done:
            draw_all(Path(out), order, [(strategy, states[sizes[strategy]]) for strategy in done], states[rows])
    if failed:
        sys.exit(f"{len(failed)} of {len(wanted)} strategies failed: {', '.join(failed)}")


def smaller(rows, strategy):
    """Return the rows of the pool that a strategy gets, 0 for all."""
    limit, _ = SMALLER.get(strategy, (0, ""))
    return min(rows, limit) if rows and limit else rows or limit


def stage(stage, name, config, options):
    """Run a stage as a rule does; return its wall seconds, CPU seconds and peak memory in MiB."""
    return measured(command(stage, name, config, options), env=ENVIRONMENT)


def show(what, cost):
    """Print what a job took."""
    wall, cpu, peak = cost
    print(f"{what:48} {wall:7.1f} s {cpu:7.1f} CPU s {peak:6.0f} MiB", flush=True)


def acquire_all(folder, dataset, rows, names):
    """Make a state of `rows` rows in `folder` and let strategies ask; return their costs or last lines of error."""
    folder.mkdir()
    where = f"{rows or 'all'} rows"
    study = check(STUDY | {"pool": {"subset": rows}})
    pool = {"dataset": dataset, "pool": folder / "pool.h5"}
    first = pool | {"labeled": folder / "labeled.h5"}
    stage("pool", "mnist/seed0", settings.pool(study, "mnist"), {"dataset": dataset, "out": pool["pool"]})
    config = settings.initial_pool(study, "random")
    stage("initial_pool", "mnist/random/seed0", config, pool | {"out": first["labeled"]})

    variants = {name: chains.variant(study, f"/{name}") for name in names}
    needs = {name: chains.needs_of_network(study, name) for name in names}
    used = {("", "probs"), ("", "features")}  # what the pictures and the table need
    used |= {(variants[name], need) for name in names for need in needs[name] if need != "model"}
    for variant in sorted({variant for variant, _ in used} | set(variants.values())):
        kind = variant or PLAIN
        (folder / kind).mkdir()
        model, metrics = folder / kind / "model.pt", folder / kind / "metrics.json"
        job = f"{LEARNER}/{'+'.join(filter(None, ['random', variant]))}/seed0/cycle0"
        config = settings.training(study, "lenet", variant)
        cost = stage("train", job, config, first | {"model": model, "metrics": metrics})
        accuracy = json.loads(metrics.read_text())["test_accuracy"]
        show(f"{where}, train {kind} ({100 * accuracy:.1f} % right)", cost)
        for need in sorted(need for other, need in used if other == variant):
            config = settings.prediction(study, "lenet", variant, need)
            options = pool | {"need": need, "model": model, "out": folder / kind / f"{need}.h5"}
            show(f"{where}, predict {kind} {need}", stage("predict", job, config, options))

    costs = {}
    for name in names:
        files = ["model.pt" if need == "model" else f"{need}.h5" for need in needs[name]]
        files = [folder / (variants[name] or PLAIN) / file for file in files]
        options = first | {"needs": files, "out": folder / name / "labeled.h5"}
        config = settings.acquisition(study, name, "lenet")
        try:
            costs[name] = stage("acquire", f"{LEARNER}/random/{name}/seed0/cycle1", config, options)
            show(f"{where}, acquire {name}", costs[name])
        except SystemExit as error:
            costs[name] = str(error).strip().splitlines()[-1]
            print(f"{where}, acquire {name} failed: {costs[name]}", flush=True)
    return costs


class State:
    """What is known, afterwards, of a pool that strategies were asked on."""

    def __init__(self, folder, dataset):
        self.folder, self.dataset = folder, dataset
        self.known = KnownPool(folder / "pool.h5", dataset)
        with h5py.File(folder / PLAIN / "probs.h5") as file:
            self.wrong = file["probs"][:].argmax(axis=1) != self.known.classes
        with h5py.File(folder / PLAIN / "features.h5") as file:
            self.features = file["features"][:]
        first, _, _ = read_labeled(folder / "labeled.h5", len(self.known))
        unlabeled = np.setdiff1d(np.arange(len(self.known)), first)
        self.wrong_share = self.wrong[unlabeled].mean()
        rng = np.random.default_rng(0)
        draws = [rng.choice(unlabeled, BUDGET, replace=False) for _ in range(DRAWS)]
        self.spacing = np.mean([spacing(self.features[draw]) for draw in draws])

    def asked(self, strategy):
        """Return the rows that a strategy asked for, in that order; None where it failed."""
        path = self.folder / strategy / "labeled.h5"
        if not path.exists():
            return None
        rows, _, cycles = read_labeled(path, len(self.known))
        return rows[cycles > 0]

    def overlap(self, strategy, other):
        """Return the per cent of images that two strategies both asked for; nan where the other failed."""
        rows, others = self.asked(strategy), self.asked(other)
        if others is None:
            return np.nan
        zeros = np.zeros(BUDGET, int)
        return 100 * shared((rows, zeros), (others, zeros), len(self.known))[0] / BUDGET


def spacing(features):
    """Return the mean distance of each of the features (n, D) to the nearest other one."""
    distances = np.linalg.norm(features[:, None] - features[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    return distances.min(axis=1).mean()


def print_table(order, sizes, costs, states):
    """Print a Markdown table, a row for each strategy, by family."""
    for size, state in states.items():
        print(
            f"\n{size or 'all'} rows: of all unlabelled images the network has {100 * state.wrong_share:.1f} % wrong; "
            f"two strategies that ask at random share {100 * BUDGET / (len(state.known) - INITIAL):.2g} %"
        )
    print(
        f"""
Of the {BUDGET} images asked for: classes, share of the largest, entropy of the classes (1 = all alike), distance to the
nearest other one (1 = random picks; features of the plain network), share that the plain network has wrong, and share
that random, entropy and coreset ask for as well.

| family | strategy | rows | wall s | CPU s | MiB | classes | largest % | entropy | spacing | wrong % """
        f"| {' % | '.join(REFERENCES)} % |"
    )
    print("|---|---|" + "---:|" * (9 + len(REFERENCES)))
    for name, cost in costs_in_order(order, costs):
        state = states[sizes[name]]
        start = f"| {order[name]} | {name} | {len(state.known)} "
        if isinstance(cost, str):
            print(f"{start}| failed: {cost.replace('|', '/')} |" + " |" * (8 + len(REFERENCES)))
            continue
        rows = state.asked(name)
        counts = state.known.counts(rows)
        share = counts[counts > 0] / counts.sum()
        values = [f"{cost[0]:.1f}", f"{cost[1]:.1f}", f"{cost[2]:.0f}", str(len(share)), f"{100 * share.max():.0f}"]
        values += [f"{-(share * np.log(share)).sum() / np.log(len(counts)) + 0.0:.2f}"]
        values += [f"{spacing(state.features[rows]) / state.spacing:.2f}", f"{100 * state.wrong[rows].mean():.0f}"]
        values += [f"{state.overlap(name, other):.0f}" for other in REFERENCES]
        print(start + f"| {' | '.join(values)} |")
    for name, (limit, reason) in SMALLER.items():
        if name in costs:
            print(f"\n{name} has at most {limit} rows, of a state of its own: {reason}")
    sys.stdout.flush()


def costs_in_order(order, costs):
    """Return (name, cost) by family, as FAMILIES has them."""
    return [(name, costs[name]) for name in order if name in costs]


def draw_all(out, order, done, most):
    """Write the pictures of (strategy, state) pairs, in the order given; the heat map of those of the state `most`."""
    # Not at the top: what this process has loaded would count in the peak memory of those that it starts.
    from poolflow.data import store
    from poolflow.figures._sheet import DPI, drawn

    (out / "sheets").mkdir(exist_ok=True)
    images = {}
    for name, state in done:
        rows = state.asked(name)
        with store.read(state.dataset) as file:
            images[name] = state.known.candidates.read(file, rows)
        labels = [state.known.names[label] for label in state.known.classes[rows]]
        title = f"mnist, {len(state.known)} rows, {name}: the {len(rows)} images in the order asked"
        figure = drawn([images[name]], [labels], [title])
        figure.savefig(out / "sheets" / f"{name}.png", dpi=DPI)
    wrong = {name: state.wrong[state.asked(name)] for name, state in done}
    overview(images, wrong, order).savefig(out / "overview.png", dpi=DPI)
    names = [name for name, state in done if state is most]
    if names:
        shares = [[most.overlap(name, other) for other in names] for name in names]
        overlap_map(np.array(shares), names).savefig(out / "overlap.png", dpi=120)


def overview(images, wrong, order):
    """Return a figure with a row of the first images of each strategy, framed where the network has them wrong."""
    from matplotlib.figure import Figure

    side, gap, left, top, frame = 56, 8, 270, 30, 3
    cell = side + gap
    canvas = np.full((top + len(images) * cell, left + SHOWN * cell, 3), 255, np.uint8)
    figure = Figure(figsize=(canvas.shape[1] / 100, canvas.shape[0] / 100), dpi=100)

    def write(text, x, y, **style):
        figure.text(x / canvas.shape[1], 1 - y / canvas.shape[0], text, va="center", parse_math=False, **style)

    write(
        f"the first {SHOWN} images in the order asked; framed: the plain network has them wrong", left, 15, fontsize=9
    )
    for position, (name, asked) in enumerate(images.items()):
        y = top + position * cell
        write(name, 80, y + side / 2, fontsize=9)
        if position == 0 or order[name] != order[list(images)[position - 1]]:
            write(order[name], 5, y + side / 2, fontsize=8, color="0.45")
            canvas[y - gap // 2 - 1 : y - gap // 2] = 190
        for column, image in enumerate(asked[:SHOWN].repeat(2, axis=1).repeat(2, axis=2)):
            x = left + column * cell
            if wrong[name][column]:
                canvas[y - frame : y + side + frame, x - frame : x + side + frame] = (230, 60, 30)
            canvas[y : y + side, x : x + side] = image
    figure.figimage(canvas, zorder=-1)
    return figure


def overlap_map(percent, names):
    """Return the heat map of the shares of images in per cent, (n, n), that strategies have in common."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3 + 0.28 * len(names), 2.4 + 0.28 * len(names)), layout="constrained")
    panel = figure.subplots()
    shown = np.where(np.eye(len(names), dtype=bool), np.nan, percent)
    drawn = panel.imshow(shown, cmap="viridis", vmin=0, vmax=100)
    for row, column in np.argwhere(shown >= 0.5):
        value = shown[row, column]
        color = "black" if value > 60 else "white"
        panel.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=6, color=color)
    panel.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    panel.set_yticks(range(len(names)), names, fontsize=7)
    panel.set_title(f"images that two strategies share, of {BUDGET}", fontsize=9)
    figure.colorbar(drawn, ax=panel, label="images in common (%)", shrink=0.6)
    return figure


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_root")
    parser.add_argument("out_folder")
    parser.add_argument("--rows", type=int, default=0, help="pool.subset; 0 for all")
    parser.add_argument("--strategies", default="", help="names, with commas between; all unless given")
    arguments = parser.parse_args()
    only = [name for name in arguments.strategies.split(",") if name]
    main(arguments.data_root, arguments.out_folder, arguments.rows, only)
