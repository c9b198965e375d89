"""The cycles: acquire, train, predict. Cycle 0 is trained and predicted with once and shared by all strategies."""


rule acquire:
    """The labelled set of a cycle: the last one's and what the query strategy asks for."""
    input:
        dataset=partial(chains.dataset, STUDY),
        pool="<results>/{dataset}/pool/seed{seed}.h5",
        labeled=lambda w: chains.labeled(w, f"{w.initial_pool}/{w.strategy}", int(w.cycle) - 1),
        needs=partial(chains.needs_of_acquisition, STUDY),
    output:
        "<results>/{dataset}/{learner}/{initial_pool}/{strategy}/seed{seed}/cycle{cycle}/labeled.h5",
    log:
        "<logs>/{dataset}/{learner}/{initial_pool}/{strategy}/seed{seed}/cycle{cycle}/acquire.log",
        cost="<benchmarks>/{dataset}/{learner}/{initial_pool}/{strategy}/seed{seed}/cycle{cycle}/acquire.tsv",
    conda:
        "../../envs/training.yaml"
    threads: STUDY["threads"]
    resources:
        mem_mb=lambda w, attempt: attempt * 4000,
        runtime=lambda w, attempt: attempt * 240,
        gpu=lambda w: gpu(settings.device_of_acquisition(STUDY, w.strategy)),
    params:
        code=lambda w: settings.acquisition_code(STUDY, w.strategy, w.learner),
        cfg=lambda w: settings.acquisition(STUDY, w.strategy, w.learner),
    message:
        "acquire: {wildcards.dataset}, {wildcards.initial_pool}, {wildcards.strategy}, seed {wildcards.seed}, cycle {wildcards.cycle} (log: {log[0]})"
    shell:
        "python -m poolflow acquire --config {params.cfg:q} --code {params.code} --name"
        " {wildcards.dataset}/{wildcards.learner}/{wildcards.initial_pool}/{wildcards.strategy}/seed{wildcards.seed}/cycle{wildcards.cycle}"
        " --dataset {input.dataset} --pool {input.pool} --labeled {input.labeled} --needs {input.needs}"
        " --cycle {wildcards.cycle} $POOLFLOW_CYCLES --out {output} --cost {log.cost} 2> {log[0]}"


rule train:
    """A network trained on a cycle's labelled set, and its metrics. The last cycle's metrics.json asks for its whole chain."""
    input:
        dataset=partial(chains.dataset, STUDY),
        pool="<results>/{dataset}/pool/seed{seed}.h5",
        labeled=lambda w: chains.labeled(w, w.chain, int(w.cycle)),
        start=partial(chains.last_model, STUDY),
        pretrained=partial(chains.pretrained, STUDY),
    output:
        model=large("<results>/{dataset}/{learner}/{chain}/seed{seed}/cycle{cycle}/model.pt"),
        metrics="<results>/{dataset}/{learner}/{chain}/seed{seed}/cycle{cycle}/metrics.json",
    log:
        "<logs>/{dataset}/{learner}/{chain}/seed{seed}/cycle{cycle}/train.log",
        cost="<benchmarks>/{dataset}/{learner}/{chain}/seed{seed}/cycle{cycle}/train.tsv",
    wildcard_constraints:
        learner=one_of(chains.learners(STUDY, pseudo_labels=False)),
    conda:
        "../../envs/training.yaml"
    threads: STUDY["threads"]
    resources:
        mem_mb=lambda w, attempt: attempt * 4000,
        runtime=lambda w, attempt: attempt * 240,
        gpu=gpu(STUDY["device"]),
    params:
        code=lambda w: settings.training_code(STUDY, w.learner, chains.variant(STUDY, w.chain)),
        cfg=lambda w: settings.training(STUDY, w.learner, chains.variant(STUDY, w.chain)),
    message:
        "train: {wildcards.dataset}, {wildcards.learner}, {wildcards.chain}, seed {wildcards.seed}, cycle {wildcards.cycle} (log: {log[0]})"
    shell:
        "python -m poolflow train --config {params.cfg:q} --code {params.code} --name"
        " {wildcards.dataset}/{wildcards.learner}/{wildcards.chain}/seed{wildcards.seed}/cycle{wildcards.cycle}"
        " --draws {wildcards.dataset}/{wildcards.learner}/seed{wildcards.seed}"
        " --dataset {input.dataset} --pool {input.pool} --labeled {input.labeled} --start {input.start}"
        " --pretrained {input.pretrained}"
        " --model {output.model} --metrics {output.metrics} --cost {log.cost} 2> {log[0]}"


use rule train as train_with_pseudo_labels with:
    output:
        model=large("<results>/{dataset}/{learner}/{chain}/seed{seed}/cycle{cycle}/model.pt"),
        metrics="<results>/{dataset}/{learner}/{chain}/seed{seed}/cycle{cycle}/metrics.json",
        pseudo_labels="<results>/{dataset}/{learner}/{chain}/seed{seed}/cycle{cycle}/pseudo_labels.h5",
    wildcard_constraints:
        learner=one_of(chains.learners(STUDY, pseudo_labels=True)),


# What a strategy needs of a plain network comes from one pass, but for cycle 0, which strategies share: there, and for
# networks of another kind, each output has a job of its own.
for OUTPUTS, STRATEGIES in [(("{need}",), []), *chains.predicted_together(STUDY).items()]:

    rule:
        """Outputs of a trained network for every image of the pool, such as its class probabilities."""
        name:
            "_".join(["predict", *OUTPUTS]).removesuffix("_{need}")
        input:
            dataset=partial(chains.dataset, STUDY),
            pool="<results>/{dataset}/pool/seed{seed}.h5",
            model="<results>/{dataset}/{learner}/{chain}/seed{seed}/cycle{cycle}/model.pt",
        output:
            [
                large(f"<results>/{{dataset}}/{{learner}}/{{chain}}/seed{{seed}}/cycle{{cycle}}/{name}.h5")
                for name in OUTPUTS
            ],
        log:
            f"<logs>/{{dataset}}/{{learner}}/{{chain}}/seed{{seed}}/cycle{{cycle}}/{'_'.join(OUTPUTS)}.log",
            cost=f"<benchmarks>/{{dataset}}/{{learner}}/{{chain}}/seed{{seed}}/cycle{{cycle}}/{'_'.join(OUTPUTS)}.tsv",
        wildcard_constraints:
            need=one_of(plugins.names("outputs")),
            chain=f"({one_of(STUDY['initial_pools'])})/({one_of(STRATEGIES)})" if STRATEGIES else CHAIN,
        conda:
            "../../envs/training.yaml"
        threads: STUDY["threads"]
        resources:
            mem_mb=lambda w, attempt: attempt * 4000,
            runtime=lambda w, attempt: attempt * 60,
            gpu=gpu(STUDY["device"]),
        params:
            # Not by `output`: Snakemake would not watch what depends on it.
            code=lambda w, outputs=OUTPUTS: settings.prediction_code(*predicted(w, outputs)),
            cfg=lambda w, outputs=OUTPUTS: settings.prediction(*predicted(w, outputs)),
            needs=lambda w, outputs=OUTPUTS: predicted(w, outputs)[3:],
        message:
            "predict {params.needs}: {wildcards.dataset}, {wildcards.learner}, {wildcards.chain}, seed {wildcards.seed}, cycle {wildcards.cycle} (log: {log[0]})"
        shell:
            "python -m poolflow predict --config {params.cfg:q} --code {params.code} --name"
            " {wildcards.dataset}/{wildcards.learner}/{wildcards.chain}/seed{wildcards.seed}/cycle{wildcards.cycle}"
            " --need {params.needs} --dataset {input.dataset} --pool {input.pool} --model {input.model}"
            " --out {output} --cost {log.cost} 2> {log[0]}"

    if STRATEGIES:
        workflow.ruleorder("_".join(["predict", *OUTPUTS]), "predict")
