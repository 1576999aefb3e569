"""GRL: tracks, clusters and KLM sectors put together."""
