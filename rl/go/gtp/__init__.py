"""The Go text protocol, spoken and heard."""
