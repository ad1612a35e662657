"""Runs on a SLURM cluster: what is asked of it, what its tasks do, and what became of them."""
