"""HTTP: the questions as an API, health and metrics, and one page to ask them from."""
