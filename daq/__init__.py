"""Before a decision, and what is kept after it: events, sources, the stream, the spool."""

__version__ = "0.1.0"
