"""Go's board, its rules, and whose area is whose."""
