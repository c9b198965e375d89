"""The first images to label."""


rule initial_pool:
    """The labelled set of cycle 0, chosen without a label; the same for every learner."""
    input:
        dataset="<results>/{dataset}/dataset.h5",
        pool="<results>/{dataset}/pool/seed{seed}.h5",
        needs=lambda w: chains.needs_of_pretext(STUDY, w, "initial_pools", w.initial_pool),
    output:
        "<results>/{dataset}/{learner}/{initial_pool}/seed{seed}/cycle0/labeled.h5",
    log:
        "<logs>/{dataset}/{learner}/{initial_pool}/seed{seed}/cycle0/initial_pool.log",
        cost="<benchmarks>/{dataset}/{learner}/{initial_pool}/seed{seed}/cycle0/initial_pool.tsv",
    conda:
        "../../envs/analysis.yaml"
    threads: STUDY["threads"]
    resources:
        mem_mb=lambda w, attempt: attempt * 4000,
        runtime=lambda w, attempt: attempt * 60,
    params:
        code=lambda w: settings.initial_pool_code(STUDY, w.initial_pool),
        cfg=lambda w: settings.initial_pool(STUDY, w.initial_pool),
    message:
        "initial pool {wildcards.initial_pool} of {wildcards.dataset}, seed {wildcards.seed} (log: {log[0]})"
    shell:
        "python -m poolflow initial_pool"
        " --name {wildcards.dataset}/{wildcards.initial_pool}/seed{wildcards.seed}"
        " --config {params.cfg:q} --code {params.code}"
        " --dataset {input.dataset} --pool {input.pool} --needs {input.needs} --out {output} --cost {log.cost} 2> {log[0]}"
