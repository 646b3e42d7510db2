"""Go's board, its rules, and who owns each point."""
