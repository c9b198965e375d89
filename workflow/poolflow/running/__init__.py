"""The machine: a stage as a process, its GPU, the forecast of a run. In no digest: an edit here reruns nothing."""
