"""The network of Go, its input planes, and evaluating many positions at once."""
