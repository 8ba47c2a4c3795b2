"""From the backlog into Prefect: what the policy sees, who is released, what owners are told."""
