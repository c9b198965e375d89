"""What a report says: the question, verdicts, numbers, images and costs, as what the page's template is filled with."""

import base64
import io
import json
import platform
from importlib import metadata

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from poolflow.repetitions import in_words
from poolflow.tables.curves import METRICS

HOLDS = {"better": "holds", "fewer": "holds", "worse": "does not", "more": "does not", "equal": "does not"}
WITHIN = {"learner_tests": ["dataset", "initial_pool"]}  # what a table compares within, where it is not the learner
IMAGES = 800  # thumbnails in a report at most
OF_A_CYCLE = 12
SIDE = 40  # pixels of a thumbnail
GALLERY = 1_100_000  # bytes of the figures at most, in base64
WIDTH = 1100  # pixels of a figure
COSTS = {"seconds": "time (s)", "cpu": "CPU time (s)", "memory": "peak memory (MB)", "disk": "written (MB)"}
VERSIONS = ("poolflow", "numpy", "pandas", "scipy", "snakemake", "torch")


def content_of(source):
    """Return what the template shows of one source."""
    return {
        "name": source.name,
        "question": question(source),
        "facts": facts(source),
        "answers": answers(source),
        "missing": missing(source),
        "data": curves_data(source),
        "pools": pools(source),
        "asked": asked(source),
        "costs": costs(source),
        "gallery": gallery(source),
        "read": {name: attrs["summary"] for name, attrs in source.datasets().items() if attrs.get("summary")},
        "again": again(source),
    }


def question(source):
    """Return the study's question, in a sentence."""
    curves = source.curves
    pools, strategies = curves.initial_pool.unique(), curves.strategy.unique()
    asked = []
    if len(pools) > 1:
        asked.append(f"which of {len(pools)} initial pools ({', '.join(pools)}) should be labelled first")
    if len(strategies) > 1:
        asked.append(
            f"which of {len(strategies)} query strategies ({', '.join(strategies)}) should choose what is next"
        )
    text = ", and ".join(asked) or f"how a network learns from {pools[0]} with {strategies[0]}"
    return f"{text[0].upper()}{text[1:]}?"


def facts(source):
    """Return what was done, [(word, value)]."""
    curves = source.curves
    cycles = int(curves.cycle.max())
    least, most = curves.labeled.min(), curves.labeled.max()
    return [
        ("data sets", ", ".join(curves.dataset.unique())),
        ("learners", ", ".join(curves.learner.unique())),
        ("labels", f"{least:g} at first, {most:g} after {cycles} cycle{'s' * (cycles != 1)}"),
        ("seeds", ", ".join(map(str, sorted(curves.seed.unique())))),
        ("compared by", source.settings["metric"].replace("_", " ")),
    ]


def answers(source):
    """Return the verdicts, one for each question: [{title, note, verdicts: [(word, sentence)], columns, rows}]."""
    found, seeds = [], source.curves.seed.nunique()
    for name, title, key, scores in (
        ("strategy_tests", "Query strategies against {reference}", "initial_pool", ("area", "end")),
        ("pool_tests", "Initial pools against {reference_pool}", "strategy", ("start", "area", "end")),
        ("learner_tests", "Learners against {reference_learner}", "strategy", ("area", "end")),
        ("label_savings", "Labels saved", None, ()),
    ):
        table = source.table(name)
        if table is None or not len(table):
            continue
        shown = table
        if key:
            together = table[key] == ""
            shown = table[(together if together.any() else ~together) & (table.family == "reference")]
            shown = shown[shown.score.isin(scores)].sort_values(
                "score", key=lambda column: column.map(scores.index), kind="stable"
            )
        else:
            shown = table[table.strategy != table.other_strategy]
        compared = int(shown.comparisons.max()) if len(shown) else 0
        key = {"pool_tests": "reference_pool", "learner_tests": "reference_learner"}.get(name, "reference")
        reference, within = source.settings[key], WITHIN.get(name, ["dataset", "learner"])
        several = len(source.curves[within].drop_duplicates()) > 1
        found.append(
            {
                "title": title.format(**source.settings),
                "note": in_words(seeds, compared, source.settings["alpha"])
                if len(shown)
                else f"The study has no {reference or 'random'} to compare with.",
                "verdicts": [
                    (
                        HOLDS.get(row.verdict, "undecided"),
                        f"{', '.join(getattr(row, key) for key in within)}: {row.sentence}"
                        if several
                        else row.sentence,
                    )
                    for row in shown.itertuples()
                ],
                "file": f"{name}.csv",
                "columns": [column for column in table if column != "sentence"],
                "rows": rows_of(table.drop(columns="sentence")),
            }
        )
    return found


def rows_of(table):
    """Return the rows of a table as text, numbers with three digits."""

    def text(value):
        if value is None or value != value:
            return ""
        return (
            f"{value:.3g}"
            if isinstance(value, float | np.floating) and value != int(value)
            else str(value).removesuffix(".0")
        )

    return [[text(value) for value in row] for row in table.astype(object).itertuples(index=False, name=None)]


def missing(source):
    """Return what is not there, a line for each chain."""
    lines = []
    for chain, seeds in source.missing().items():
        parts = [f"{seed} ({there} of {whole} cycles)" if there else str(seed) for seed, there, whole in seeds]
        lines.append(f"{'/'.join(chain)}: seed{'s' * (len(parts) > 1)} {', '.join(parts)}")
    return lines


def curves_data(source):
    """Return what the page's script draws: the runs of each chain, the differences to the reference, the summary."""
    curves, metrics = source.curves, [m for m in METRICS if m in source.curves and m not in ("labeled", "seconds")]
    metric = source.settings["metric"]
    metrics = [m for m in [metric] if m in metrics] + [m for m in metrics if m != metric]
    settings = []
    for (dataset, learner), rows in curves.groupby(["dataset", "learner"], sort=False):
        chains = []
        for (pool, strategy, variant), of_chain in rows.groupby(["initial_pool", "strategy", "variant"], sort=False):
            runs = []
            for seed, run in of_chain.groupby("seed"):
                run = run.sort_values("cycle")
                spent = run.seconds.cumsum() if "seconds" in run else pd.Series([], dtype=float)
                values = {m: numbers(run[m]) for m in metrics}
                cycles = run.cycle.tolist()
                runs.append({"seed": seed, "c": cycles, "n": numbers(run.labeled), "s": numbers(spent), "m": values})
            chains.append({"pool": pool, "strategy": strategy, "variant": variant, "runs": runs})
        settings.append({"name": f"{dataset}, {learner}", "chains": chains, "differences": {}, "passive": {}})
        if (whole := source.table("passive")) is not None:
            of = whole[(whole.dataset == dataset) & (whole.learner == learner)]
            settings[-1]["passive"] = {"n": round(of.labeled.mean())} | {
                m: float(of[m].mean()) for m in metrics if m in of
            }
        differences = source.table("differences")
        if differences is not None:
            of = differences[(differences.dataset == dataset) & (differences.learner == learner)]
            for (pool, strategy, other), part in of.groupby(["initial_pool", "strategy", "other_strategy"], sort=False):
                settings[-1]["differences"][f"{pool}/{strategy}"] = {
                    "other": other,
                    "n": numbers(part.labeled),
                    "k": part.seeds.tolist(),
                    **{key: numbers(part[key]) for key in ("mean", "low", "high")},
                }
    return {"metrics": metrics, "metric": metric, "settings": settings}


def numbers(column):
    """Return a column as numbers of five digits for JSON, None for NaN."""
    return [None if value != value else float(f"{value:.5g}") for value in column.astype(float)]


def pools(source):
    """Return the table of initial pools, or None: what each has, the mean over the seeds."""
    table = source.table("pools")
    if table is None:
        return None
    columns = ["size", "without_label", "classes", "largest_share", "smallest_share", "entropy"]
    mean = table.groupby(["dataset", "initial_pool"], sort=False)[columns].mean().reset_index()
    words = ["data set", "initial pool", "images", "without label", "classes", "largest share", "smallest share"]
    return {"columns": [*words, "entropy (1: even)"], "rows": rows_of(mean)}


def asked(source):
    """Return what each chain asked for in its first seed, cycle by cycle: [{chain, seed, cycles: [...]}]."""
    if not source.folder:
        return []
    chains, found, known = source.chains(), [], {}
    cycles = int(source.curves.cycle.max()) + 1
    each = min(OF_A_CYCLE, IMAGES // max(1, len(chains) * cycles))
    shown = range(cycles) if each else sorted({0, 1, cycles - 1})
    each = each or max(1, IMAGES // (len(chains) * len(shown)))
    for chain in chains:
        dataset = chain[0]
        seed = int(source.curves[source.curves.dataset == dataset].seed.min())
        if dataset not in known:
            pool = source.pool(dataset, seed)
            known[dataset] = pool, pool and source.names(dataset)
        pool, names = known[dataset]
        if pool is None:
            continue
        steps = []
        for cycle, rows, scores, predicted in source.asked(chain, seed):
            if cycle in shown:
                first = rows[:each]
                images = source.images(dataset, pool, first)
                steps.append(
                    {
                        "cycle": cycle,
                        "count": len(rows),
                        "images": [
                            {
                                "image": None if images is None else thumbnail(images[at]),
                                "label": pool.names[pool.classes[row]] if pool.classes[row] >= 0 else "no label",
                                "predicted": None if predicted is None else pool.names[predicted[at]],
                                "score": f"{scores[at]:.3g}" if cycle else "",
                                "file": None if names is None else names[pool.candidates.indices[row]],
                            }
                            for at, row in enumerate(first)
                        ],
                    }
                )
        if steps:
            found.append({"chain": ", ".join(chain), "seed": seed, "cycles": steps})
    return found


def thumbnail(image):
    """Return an image (H, W, C) uint8 as a data address of a small JPEG."""
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    factor = SIDE / max(picture.size)
    size = [max(1, round(side * min(1, factor))) for side in picture.size]
    return address(picture.resize(size, Image.Resampling.BOX), "jpeg", quality=70, optimize=True)


def address(picture, form, **options):
    """Return a picture as a data address."""
    content = io.BytesIO()
    picture.save(content, form, **options)
    return f"data:image/{form};base64,{base64.b64encode(content.getvalue()).decode()}"


def costs(source):
    """Return what the jobs cost, a row for each stage, or None."""
    table = source.costs()
    if not len(table):
        return None
    table["disk"] /= 1e6
    found = table.groupby("stage").agg(
        jobs=("seconds", "size"),
        seconds=("seconds", "sum"),
        cpu=("cpu", "sum"),
        memory=("memory", "max"),
        disk=("disk", "sum"),
    )
    found = found.sort_values("cpu", ascending=False)
    found.loc["all"] = [found.jobs.sum(), found.seconds.sum(), found.cpu.sum(), found.memory.max(), found.disk.sum()]
    share = (100 * found.cpu / max(found.cpu["all"], 1e-9)).round().astype(int).tolist()
    rows = rows_of(found.reset_index().astype({"jobs": int}))
    return {"columns": ["stage", "jobs", *COSTS.values()], "rows": list(zip(rows, share, strict=True))}


def gallery(source):
    """Return the figures that are there: [{path, image or None where there is no room for it, alt}]."""
    found, left = [], GALLERY
    for path, content in source.figures():
        picture = Image.open(io.BytesIO(content)).convert("RGB")
        if picture.width > WIDTH:
            picture = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)
        image = address(picture.quantize(64, dither=Image.Dither.NONE), "png", optimize=True)
        fits = len(image) <= left
        left -= len(image) if fits else 0
        words = path.replace("/", ", ").replace("_", " ")
        found.append({"path": f"figures/{path}.png", "image": image if fits else None, "alt": f"Figure: {words}"})
    return found


def again(source):
    """Return what it takes to make the study again: {versions, config, code}."""
    versions = {"python": platform.python_version()}
    for package in VERSIONS:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    codes = {}
    for name, attrs in source.datasets().items():
        codes[f"{name}/dataset.h5"] = attrs.get("code", "")
        versions |= json.loads(attrs.get("versions", "{}"))
    return {
        "versions": dict(sorted(versions.items())),
        "codes": codes,
        "config": source.config and yaml.safe_dump(source.config, sort_keys=False, allow_unicode=True),
    }
