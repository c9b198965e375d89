"""Data sets, and the pool that each repetition may label from."""


rule dataset:
    """One data set as uint8 images and labels in HDF5."""
    output:
        "<results>/{dataset}/dataset.h5",
    log:
        "<logs>/{dataset}/dataset.log",
    benchmark:
        "<benchmarks>/{dataset}/dataset.tsv"
    conda:
        "../../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=lambda w: code("dataset", "datasets", STUDY["datasets"][w.dataset]),
        cfg=lambda w: dataset_block(w.dataset),
    message:
        "data set {wildcards.dataset}"
    shell:
        "python -m poolflow.dataset --name {wildcards.dataset} --config {params.cfg:q} --code {params.code}"
        ' --root "$POOLFLOW_DATA" --out {output} 2> {log}'


rule pool:
    """The rows of a data set that one repetition may label, and its validation split."""
    input:
        "<results>/{dataset}/dataset.h5",
    output:
        "<results>/{dataset}/pool/seed{seed}.h5",
    log:
        "<logs>/{dataset}/pool/seed{seed}.log",
    benchmark:
        "<benchmarks>/{dataset}/pool/seed{seed}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code("pool"),
        cfg=block(seed=STUDY["seed"], validation=STUDY["validation"]),
    message:
        "pool of {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        "python -m poolflow.pool --name {wildcards.dataset}/seed{wildcards.seed} --config {params.cfg:q}"
        " --code {params.code} --dataset {input} --out {output} 2> {log}"
