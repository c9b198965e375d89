"""What people open: the tables and the learning curves."""


rule curves:
    """curves.csv, a row for each chain, seed and cycle, and summary.csv, mean and std over the seeds."""
    input:
        chains(
            "<results>/{dataset}/{learner}/{chain}/seed{seed}/cycle0/metrics.json",
            chain=[first_chain(pool, strategy) for pool in STUDY["initial_pools"] for strategy in STUDY["strategies"]],
        ),
        chains(
            "<results>/{dataset}/{learner}/{initial_pool}/{strategy}/seed{seed}/cycle{cycle}/metrics.json",
            strategy=STUDY["strategies"],
            cycle=range(1, STUDY["cycles"] + 1),
        ),
    output:
        curves="<results>/curves.csv",
        summary="<results>/summary.csv",
    log:
        "<logs>/curves.log",
    benchmark:
        "<benchmarks>/curves.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 2000,
        runtime=lambda w, attempt: attempt * 30,
    params:
        code=code("curves"),
        cfg=block(
            **{key: list(STUDY[key]) for key in ("datasets", "learners", "initial_pools", "seeds")},
            strategies=[[strategy, first_chain("", strategy)] for strategy in STUDY["strategies"]],
            cycles=STUDY["cycles"],
        ),
    message:
        "curves.csv and summary.csv"
    shell:
        "python -m poolflow curves --name study --config {params.cfg:q} --code {params.code}"
        " --results $(dirname {output.curves}) --curves {output.curves} --summary {output.summary} 2> {log}"


rule figures:
    """The learning curves of one data set and learner, mean and standard deviation over the seeds."""
    input:
        "<results>/curves.csv",
    output:
        by_strategy="<results>/figures/{dataset}/{learner}/by_strategy.png",
        by_pool="<results>/figures/{dataset}/{learner}/by_pool.png",
    log:
        "<logs>/figures/{dataset}/{learner}.log",
    benchmark:
        "<benchmarks>/figures/{dataset}/{learner}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 2000,
        runtime=lambda w, attempt: attempt * 30,
    params:
        code=code("figures"),
        cfg=lambda w: block(dataset=w.dataset, learner=w.learner, **STUDY["figures"]),
    message:
        "learning curves of {wildcards.dataset}, {wildcards.learner}"
    shell:
        "python -m poolflow figures --name {wildcards.dataset}/{wildcards.learner} --config {params.cfg:q}"
        " --code {params.code} --curves {input} --by-strategy {output.by_strategy} --by-pool {output.by_pool} 2> {log}"


# What to label next, of data sets whose files have names: what the last cycles ask for, or else the initial pools, which
# are the same for every learner and strategy.
NAMED = [name for name, entry in STUDY["datasets"].items() if literals("datasets", entry["plugin"]).get("NAMES")]
ASKED = {
    "dataset": NAMED,
    "learner": list(STUDY["learners"]) if STUDY["cycles"] else [POOL_LEARNER],
    "initial_pool": list(STUDY["initial_pools"]),
    "strategy": list(STUDY["strategies"]) if STUDY["cycles"] else [""],
    "seed": STUDY["seeds"],
}
CHAIN = "{initial_pool}/{strategy}" if STUDY["cycles"] else "{initial_pool}"
SHEET = "{learner}/to_label/{initial_pool}/{strategy}.png" if STUDY["cycles"] else "pools/first_{initial_pool}.png"


rule to_label_table:
    """to_label.csv: the images that the study asks for, by the names of their files."""
    input:
        expand("<results>/{dataset}/dataset.h5", dataset=NAMED),
        expand("<results>/{dataset}/pool/seed{seed}.h5", dataset=NAMED, seed=STUDY["seeds"]),
        expand(f"<results>/{{dataset}}/{{learner}}/{CHAIN}/seed{{seed}}/cycle{STUDY['cycles']}/labeled.h5", **ASKED),
    output:
        "<results>/to_label.csv",
    log:
        "<logs>/to_label.log",
    benchmark:
        "<benchmarks>/to_label.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 2000,
        runtime=lambda w, attempt: attempt * 30,
    params:
        code=code("to_label"),
        cfg=block(**ASKED, cycles=STUDY["cycles"]),
    message:
        "to_label.csv"
    shell:
        "python -m poolflow to_label --name study --config {params.cfg:q} --code {params.code}"
        " --results $(dirname {output}) --out {output} 2> {log}"


rule to_label_sheet:
    """The images that a strategy asks for in the last cycle of the first seed."""
    input:
        dataset="<results>/{dataset}/dataset.h5",
        pool=f"<results>/{{dataset}}/pool/seed{FIRST_SEED}.h5",
        labeled=f"<results>/{{dataset}}/{{learner}}/{{initial_pool}}/{{strategy}}/seed{FIRST_SEED}/cycle{STUDY['cycles']}/labeled.h5",
    output:
        "<results>/figures/{dataset}/{learner}/to_label/{initial_pool}/{strategy}.png",
    log:
        "<logs>/figures/{dataset}/{learner}/to_label/{initial_pool}/{strategy}.log",
    benchmark:
        "<benchmarks>/figures/{dataset}/{learner}/to_label/{initial_pool}/{strategy}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 2000,
        runtime=lambda w, attempt: attempt * 30,
    params:
        code=code("contact_sheet"),
        cfg=lambda w: block(**w, seed=FIRST_SEED),
    message:
        "what {wildcards.strategy} asks for: {wildcards.dataset}, {wildcards.learner}, {wildcards.initial_pool}"
    shell:
        "python -m poolflow contact_sheet --config {params.cfg:q} --code {params.code} --name"
        " {wildcards.dataset}/{wildcards.learner}/{wildcards.initial_pool}/{wildcards.strategy}"
        " --dataset {input.dataset} --pool {input.pool} --labeled {input.labeled} --out {output} 2> {log}"
