"""Tactical positions, and how many of them a player solves."""
