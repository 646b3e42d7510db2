"""Many runs: started as people start them, and what they scored together."""
