"""Seeded procedural data: the offline default of every supervised task."""
