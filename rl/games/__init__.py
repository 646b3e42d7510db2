"""What is played: games side by side behind one contract."""
