"""`python -m engine serve`: the engine behind OpenAI's HTTP API. Nothing outside this package imports a web framework."""
