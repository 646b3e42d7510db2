"""Cores, memory, number formats, CUDA graphs: what this machine has, and how it is used."""
