"""What a study reports of its initial pools, and of the clusters that pretext tasks found."""

FIRST_SEED = STUDY["seeds"][0]
POOL_LEARNER = next(iter(STUDY["learners"]))  # the initial pools are the same for every learner
CLUSTERED = [
    task for task in used_tasks() if "clusters" in literals("pretext", STUDY["pretext"][task]["plugin"])["GIVES"]
]

# Whose features show where the initial pools lie: the tasks that the pools use, or what those without features build on.
MAPPED = []
for entry in STUDY["initial_pools"].values():
    task = entry["pretext"]
    while task and "features" not in literals("pretext", STUDY["pretext"][task]["plugin"])["GIVES"]:
        task = STUDY["pretext"][task].get("of")
    MAPPED += [task] if task and task not in MAPPED else []

INITIAL_SETS = expand(
    "<results>/{{dataset}}/{learner}/{initial_pool}/seed{{seed}}/cycle0/labeled.h5",
    learner=POOL_LEARNER,
    initial_pool=STUDY["initial_pools"],
)

# What `rule all` asks for: nothing of clusters, pairs of pools, features, images or cycles where a study has none.
POOL_REPORTS = [
    "<results>/pools.csv",
    *(["<results>/hard_classes.csv"] if STUDY["cycles"] else []),
    *(["<results>/clusters.csv"] if CLUSTERED else []),
    *expand("<results>/figures/{dataset}/pools/histograms.png", dataset=STUDY["datasets"]),
    *expand("<results>/figures/{dataset}/pools/tsne_{task}.png", dataset=STUDY["datasets"], task=MAPPED),
    *expand(
        "<results>/figures/{dataset}/pools/first_{initial_pool}.png",
        dataset=[
            name
            for name, entry in STUDY["datasets"].items()
            if literals("datasets", entry["plugin"]).get("KIND", "images") == "images"
        ],
        initial_pool=STUDY["initial_pools"],
    ),
]
if len(STUDY["initial_pools"]) > 1:
    POOL_REPORTS += expand("<results>/figures/{dataset}/pools/overlap.png", dataset=STUDY["datasets"])
if len(STUDY["initial_pools"]) > 1 and STUDY["cycles"]:
    POOL_REPORTS += expand(
        "<results>/figures/{dataset}/{learner}/overlap_cycles.png",
        dataset=STUDY["datasets"],
        learner=STUDY["learners"],
    )


rule clusters:
    """clusters.csv and clusters_summary.csv: how well the clusters of the pretext tasks agree with the classes."""
    input:
        chains("<results>/{dataset}/dataset.h5"),
        chains("<results>/{dataset}/pool/seed{seed}.h5"),
        chains("<results>/{dataset}/pretext/{task}/seed{seed}/clusters.h5", task=CLUSTERED),
    output:
        clusters="<results>/clusters.csv",
        summary="<results>/clusters_summary.csv",
    log:
        "<logs>/clusters.log",
    benchmark:
        "<benchmarks>/clusters.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 2000,
        runtime=lambda w, attempt: attempt * 30,
    params:
        code=code("cluster_quality"),
        cfg=block(**{key: list(STUDY[key]) for key in ("datasets", "seeds")}, pretext=CLUSTERED),
    message:
        "clusters.csv"
    shell:
        "python -m poolflow cluster_quality --name study --config {params.cfg:q} --code {params.code}"
        " --results $(dirname {output.clusters}) --clusters {output.clusters} --summary {output.summary} 2> {log}"


rule pool_tables:
    """pools.csv, pool_classes.csv and overlap.csv: the classes of the initial pools, and what the pools share."""
    input:
        chains("<results>/{dataset}/dataset.h5"),
        chains("<results>/{dataset}/pool/seed{seed}.h5"),
        chains("<results>/{dataset}/{own}/{initial_pool}/seed{seed}/cycle0/labeled.h5", own=POOL_LEARNER),
    output:
        pools="<results>/pools.csv",
        classes="<results>/pool_classes.csv",
        overlap="<results>/overlap.csv",
    log:
        "<logs>/pool_tables.log",
    benchmark:
        "<benchmarks>/pool_tables.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 2000,
        runtime=lambda w, attempt: attempt * 30,
    params:
        code=code("pool_tables"),
        cfg=block(
            **{key: list(STUDY[key]) for key in ("datasets", "initial_pools", "seeds")},
            learner=POOL_LEARNER,
        ),
    message:
        "pools.csv, pool_classes.csv and overlap.csv"
    shell:
        "python -m poolflow pool_tables --name study --config {params.cfg:q} --code {params.code}"
        " --results $(dirname {output.pools}) --pools {output.pools} --classes {output.classes}"
        " --overlap {output.overlap} 2> {log}"


rule pool_histograms:
    """The class histogram of each initial pool of one data set."""
    input:
        "<results>/pool_classes.csv",
    output:
        "<results>/figures/{dataset}/pools/histograms.png",
    log:
        "<logs>/figures/{dataset}/pools/histograms.log",
    benchmark:
        "<benchmarks>/figures/{dataset}/pools/histograms.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 2000,
        runtime=lambda w, attempt: attempt * 30,
    params:
        code=code("pool_histograms"),
        cfg=lambda w: block(dataset=w.dataset, dpi=STUDY["figures"]["dpi"]),
    message:
        "classes of the initial pools of {wildcards.dataset}"
    shell:
        "python -m poolflow pool_histograms --name {wildcards.dataset} --config {params.cfg:q} --code {params.code}"
        " --classes {input} --out {output} 2> {log}"


rule pool_overlap:
    """The share of images that each pair of initial pools of one data set has in common."""
    input:
        "<results>/overlap.csv",
    output:
        "<results>/figures/{dataset}/pools/overlap.png",
    log:
        "<logs>/figures/{dataset}/pools/overlap.log",
    benchmark:
        "<benchmarks>/figures/{dataset}/pools/overlap.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 2000,
        runtime=lambda w, attempt: attempt * 30,
    params:
        code=code("pool_overlap"),
        cfg=lambda w: block(dataset=w.dataset, dpi=STUDY["figures"]["dpi"]),
    message:
        "overlap of the initial pools of {wildcards.dataset}"
    shell:
        "python -m poolflow pool_overlap --name {wildcards.dataset} --config {params.cfg:q} --code {params.code}"
        " --overlap {input} --out {output} 2> {log}"


rule tsne:
    """A sample of one data set in two dimensions, by the features of a pretext task."""
    input:
        pool="<results>/{dataset}/pool/seed{seed}.h5",
        features="<results>/{dataset}/pretext/{task}/seed{seed}/features.h5",
        labeled=INITIAL_SETS,
    output:
        "<results>/{dataset}/pretext/{task}/seed{seed}/tsne.h5",
    log:
        "<logs>/{dataset}/pretext/{task}/seed{seed}/tsne.log",
    benchmark:
        "<benchmarks>/{dataset}/pretext/{task}/seed{seed}/tsne.tsv"
    wildcard_constraints:
        task="[^/]+",
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 4000,
        runtime=lambda w, attempt: attempt * 30,
    params:
        code=code("tsne"),
        cfg=block(rows=5000, seed=STUDY["seed"]),
    message:
        "t-SNE of {wildcards.task} on {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        "python -m poolflow tsne --name {wildcards.dataset}/pretext/{wildcards.task}/seed{wildcards.seed}"
        " --config {params.cfg:q} --code {params.code} --pool {input.pool} --features {input.features}"
        " --labeled {input.labeled} --out {output} 2> {log}"


rule tsne_figure:
    """Where the initial pools of one data set lie among its images, by the features of a pretext task."""
    input:
        dataset="<results>/{dataset}/dataset.h5",
        pool=f"<results>/{{dataset}}/pool/seed{FIRST_SEED}.h5",
        tsne=f"<results>/{{dataset}}/pretext/{{task}}/seed{FIRST_SEED}/tsne.h5",
        labeled=[path.replace("{seed}", str(FIRST_SEED)) for path in INITIAL_SETS],
    output:
        "<results>/figures/{dataset}/pools/tsne_{task}.png",
    log:
        "<logs>/figures/{dataset}/pools/tsne_{task}.log",
    benchmark:
        "<benchmarks>/figures/{dataset}/pools/tsne_{task}.tsv"
    wildcard_constraints:
        task="[^/]+",
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 2000,
        runtime=lambda w, attempt: attempt * 30,
    params:
        code=code("tsne_figure"),
        cfg=lambda w: block(
            dataset=w.dataset,
            pretext=w.task,
            seed=FIRST_SEED,
            initial_pools=list(STUDY["initial_pools"]),
            dpi=STUDY["figures"]["dpi"],
        ),
    message:
        "initial pools of {wildcards.dataset} among the features of {wildcards.task}"
    shell:
        "python -m poolflow tsne_figure --name {wildcards.dataset}/{wildcards.task} --config {params.cfg:q}"
        " --code {params.code} --dataset {input.dataset} --pool {input.pool} --tsne {input.tsne}"
        " --labeled {input.labeled} --out {output} 2> {log}"


rule contact_sheet:
    """The images that an initial pool of the first seed chose first, and those it chose last."""
    input:
        dataset="<results>/{dataset}/dataset.h5",
        pool=f"<results>/{{dataset}}/pool/seed{FIRST_SEED}.h5",
        labeled=f"<results>/{{dataset}}/{POOL_LEARNER}/{{initial_pool}}/seed{FIRST_SEED}/cycle0/labeled.h5",
    output:
        "<results>/figures/{dataset}/pools/first_{initial_pool}.png",
    log:
        "<logs>/figures/{dataset}/pools/first_{initial_pool}.log",
    benchmark:
        "<benchmarks>/figures/{dataset}/pools/first_{initial_pool}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 2000,
        runtime=lambda w, attempt: attempt * 30,
    params:
        code=code("contact_sheet"),
        cfg=lambda w: block(dataset=w.dataset, initial_pool=w.initial_pool, seed=FIRST_SEED),
    message:
        "first and last images of initial pool {wildcards.initial_pool} of {wildcards.dataset}"
    shell:
        "python -m poolflow contact_sheet --name {wildcards.dataset}/{wildcards.initial_pool} --config {params.cfg:q}"
        " --code {params.code} --dataset {input.dataset} --pool {input.pool} --labeled {input.labeled}"
        " --out {output} 2> {log}"


rule cycle_tables:
    """overlap_cycles.csv and hard_classes.csv: the initial pools followed to the last cycle."""
    input:
        chains("<results>/{dataset}/dataset.h5"),
        chains("<results>/{dataset}/pool/seed{seed}.h5"),
        chains(
            "<results>/{dataset}/{learner}/{initial_pool}/{strategy}/seed{seed}/cycle{cycle}/{file}",
            strategy=STUDY["strategies"],
            cycle=STUDY["cycles"],
            file=["labeled.h5", "metrics.json"],
        ),
    output:
        overlap="<results>/overlap_cycles.csv",
        hard="<results>/hard_classes.csv",
    log:
        "<logs>/cycle_tables.log",
    benchmark:
        "<benchmarks>/cycle_tables.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 2000,
        runtime=lambda w, attempt: attempt * 30,
    params:
        code=code("cycle_tables"),
        cfg=block(
            **{key: list(STUDY[key]) for key in ("datasets", "learners", "initial_pools", "strategies", "seeds")},
            cycles=STUDY["cycles"],
        ),
    message:
        "overlap_cycles.csv and hard_classes.csv"
    shell:
        "python -m poolflow cycle_tables --name study --config {params.cfg:q} --code {params.code}"
        " --results $(dirname {output.overlap}) --overlap {output.overlap} --hard {output.hard} 2> {log}"


rule cycle_overlap:
    """How much the labelled sets of one learner that started from different initial pools share, over the cycles."""
    input:
        "<results>/overlap_cycles.csv",
    output:
        "<results>/figures/{dataset}/{learner}/overlap_cycles.png",
    log:
        "<logs>/figures/{dataset}/{learner}/overlap_cycles.log",
    benchmark:
        "<benchmarks>/figures/{dataset}/{learner}/overlap_cycles.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 2000,
        runtime=lambda w, attempt: attempt * 30,
    params:
        code=code("cycle_overlap"),
        cfg=lambda w: block(dataset=w.dataset, learner=w.learner, dpi=STUDY["figures"]["dpi"]),
    message:
        "overlap of the labelled sets of {wildcards.dataset}, {wildcards.learner}"
    shell:
        "python -m poolflow cycle_overlap --name {wildcards.dataset}/{wildcards.learner} --config {params.cfg:q}"
        " --code {params.code} --overlap {input} --out {output} 2> {log}"
