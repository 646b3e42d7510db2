"""What people see of play."""
