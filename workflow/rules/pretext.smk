"""Pretext tasks: what is learned of the images without a label, once for a data set and seed."""


localrules:
    download_weights,
    weights,


rule download_weights:
    """The published weights of a network, fetched into data_root unless they are there; run where Snakemake runs."""
    output:
        "<results>/pretext/{task}/source.json",
    log:
        "<logs>/pretext/{task}/download.log",
        cost="<benchmarks>/pretext/{task}/download.tsv",
    conda:
        "../../envs/training.yaml"
    threads: 1
    params:
        cfg=lambda w: settings.published(STUDY, "pretext", w.task),
    message:
        "published weights of {wildcards.task} (log: {log[0]})"
    shell:
        "python -m poolflow download --name pretext/{wildcards.task} --config {params.cfg:q} --code any"
        ' --root "$POOLFLOW_DATA" --out {output} --cost {log.cost} 2> {log[0]}'


rule weights:
    """The weights of a network that has learned elsewhere; run where Snakemake runs."""
    input:
        lambda w: chains.published(STUDY, "pretext", w.task),
    output:
        "<results>/pretext/{task}/weights.pt",
    log:
        "<logs>/pretext/{task}/weights.log",
        cost="<benchmarks>/pretext/{task}/weights.tsv",
    conda:
        "../../envs/training.yaml"
    threads: 1
    params:
        code=lambda w: settings.pretext_code(STUDY, "weights", w.task),
        cfg=lambda w: settings.weights(STUDY, w.task, workflow.remote_exec),
    message:
        "weights of {wildcards.task} (log: {log[0]})"
    shell:
        "python -m poolflow weights --name pretext/{wildcards.task} --config {params.cfg:q} --code {params.code}"
        ' --root "$POOLFLOW_DATA" --own "$POOLFLOW_OWN" --out {output} --cost {log.cost} 2> {log[0]}'


rule embed:
    """All images of a data set as features of a network that has learned elsewhere, once for all seeds."""
    input:
        dataset="<results>/{dataset}/dataset.h5",
        model="<results>/pretext/{task}/weights.pt",
    output:
        "<results>/{dataset}/pretext/{task}/embedding.h5",
    log:
        "<logs>/{dataset}/pretext/{task}/embed.log",
        cost="<benchmarks>/{dataset}/pretext/{task}/embed.tsv",
    cache: CACHED
    conda:
        "../../envs/training.yaml"
    threads: STUDY["threads"]
    resources:
        mem_mb=lambda w, attempt: attempt * 8000,
        runtime=lambda w, attempt: attempt * 720,
        gpu=gpu(STUDY["device"]),
    params:
        name="{dataset}/pretext/{task}",
        code=lambda w: settings.pretext_code(STUDY, "embed", w.task),
        cfg=lambda w: settings.embedding(STUDY, w.task),
    message:
        "images of {wildcards.dataset} as features of {wildcards.task} (log: {log[0]})"
    shell:
        "python -m poolflow embed --name {params.name} --config {params.cfg:q}"
        " --code {params.code} --dataset {input.dataset} --model {input.model} --out {output} --cost {log.cost}"
        " 2> {log[0]}"


rule pretrain:
    """What a pretext task learns from the images of a pool. A killed run goes on from its last checkpoint."""
    input:
        dataset="<results>/{dataset}/dataset.h5",
        pool="<results>/{dataset}/pool/seed{seed}.h5",
        of=partial(chains.pretext_base, STUDY),
    output:
        model="<results>/{dataset}/pretext/{task}/seed{seed}/model.pt",
        losses="<results>/{dataset}/pretext/{task}/seed{seed}/losses.csv",
    log:
        "<logs>/{dataset}/pretext/{task}/seed{seed}/pretrain.log",
        cost="<benchmarks>/{dataset}/pretext/{task}/seed{seed}/pretrain.tsv",
    cache: CACHED
    conda:
        "../../envs/training.yaml"
    threads: STUDY["threads"]
    resources:
        mem_mb=lambda w, attempt: attempt * 8000,
        runtime=lambda w, attempt: attempt * 1440,
        gpu=gpu(STUDY["device"]),
    params:
        name="{dataset}/pretext/{task}/seed{seed}",
        code=lambda w: settings.pretext_code(STUDY, "pretrain", w.task),
        cfg=lambda w: settings.pretext(STUDY, w.task),
    message:
        "pretext task {wildcards.task}: {wildcards.dataset}, seed {wildcards.seed} (log: {log[0]})"
    shell:
        "python -m poolflow pretrain --name {params.name}"
        " --config {params.cfg:q} --code {params.code} --dataset {input.dataset} --pool {input.pool} --of {input.of}"
        " --model {output.model} --losses {output.losses} --cost {log.cost} 2> {log[0]}"


rule pretext_output:
    """One output of a pretext task for every image of the pool: features, scores or clusters."""
    input:
        dataset=partial(chains.of_pretext, STUDY),
        pool="<results>/{dataset}/pool/seed{seed}.h5",
        of=partial(chains.pretext_base, STUDY),
        model=partial(chains.pretext_model, STUDY),
    output:
        "<results>/{dataset}/pretext/{task}/seed{seed}/{need}.h5",
    log:
        "<logs>/{dataset}/pretext/{task}/seed{seed}/{need}.log",
        cost="<benchmarks>/{dataset}/pretext/{task}/seed{seed}/{need}.tsv",
    wildcard_constraints:
        need="features|scores|clusters",
    cache: CACHED
    conda:
        "../../envs/training.yaml"
    threads: STUDY["threads"]
    resources:
        mem_mb=lambda w, attempt: attempt * 8000,
        runtime=lambda w, attempt: attempt * 240,
        gpu=gpu(STUDY["device"]),
    params:
        name="{dataset}/pretext/{task}/seed{seed}",
        need="{need}",
        code=lambda w: settings.pretext_code(STUDY, "pretext_output", w.task),
        cfg=lambda w: settings.pretext(STUDY, w.task, w.need),
    message:
        "{wildcards.need} of the pretext task {wildcards.task}: {wildcards.dataset}, seed {wildcards.seed} (log: {log[0]})"
    shell:
        "python -m poolflow pretext_output --name {params.name}"
        " --config {params.cfg:q} --code {params.code} --need {params.need} --dataset {input.dataset}"
        " --pool {input.pool} --model {input.model} --of {input.of} --out {output} --cost {log.cost} 2> {log[0]}"
