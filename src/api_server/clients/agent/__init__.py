"""Client of agents: vLLM or another OpenAI-compatible server, or an external agent."""
