"""Readers of the field's own on-disk formats."""
