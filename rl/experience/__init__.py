"""What was played, and how it is played ahead of learning."""
