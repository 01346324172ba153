"""What the analysis is made of: agent, circuit, deadline, validator."""
