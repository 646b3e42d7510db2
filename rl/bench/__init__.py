"""Speed beside others: ours and a peer in turn, on this machine."""
