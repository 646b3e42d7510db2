"""Supervised and generative tasks on the shared backbones."""
