"""Scores as sums that add up over any sharding."""
