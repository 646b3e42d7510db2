"""Runs, checkpoints, logs, precision and progress: the same for every job."""
