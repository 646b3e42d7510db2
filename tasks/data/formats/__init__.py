"""Readers of the field's own files, one a format."""
