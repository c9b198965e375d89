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
        "python -m poolflow.curves --name study --config {params.cfg:q} --code {params.code}"
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
        "python -m poolflow.figures --name {wildcards.dataset}/{wildcards.learner} --config {params.cfg:q}"
        " --code {params.code} --curves {input} --by-strategy {output.by_strategy} --by-pool {output.by_pool} 2> {log}"
