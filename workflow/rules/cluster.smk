"""What running on a cluster asks of the rules. Included last."""

import subprocess

from snakemake.settings.types import SharedFSUsage

# A submitted Snakemake runs the jobs of its submission itself; the SLURM plugin would start another one for each of them.
if workflow.remote_exec:
    workflow.localrules(*(rule.name for rule in workflow.rules))

# Without shared files, data_root is seen where Snakemake runs only.
elif SharedFSUsage.INPUT_OUTPUT not in workflow.storage_settings.shared_fs_usage:
    workflow.localrules("dataset")

# What the nodes are sent of this folder is what git tracks.
if SharedFSUsage.SOURCES not in workflow.storage_settings.shared_fs_usage and not workflow.remote_exec:
    list_untracked = ["git", "-C", str(workflow.basedir), "ls-files", "--others", "--exclude-standard", "workflow"]
    untracked = subprocess.run(list_untracked, capture_output=True, text=True)
    if untracked.stdout or untracked.returncode:
        why = untracked.stderr.strip() or f"git add {' '.join(untracked.stdout.split())}"
        stop(f"Without shared files, nodes get of this folder what git tracks: {why}")
