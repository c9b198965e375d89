"""What running on a cluster asks of the rules. Included last."""

# A submitted Snakemake runs the jobs of its submission itself; the SLURM plugin would start another one for each of them.
if workflow.remote_exec:
    workflow.localrules(*(rule.name for rule in workflow.rules))
