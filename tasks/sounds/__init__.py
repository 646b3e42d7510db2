"""Sound for silent film."""
