"""Networks shared by all jobs, and what any network needs to be trained."""
