"""The endpoints: each parses a request, calls the service container, renders the response."""
