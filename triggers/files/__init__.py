"""The L1 on files: trigger primitives or input bits in, bits out; the one part of `triggers` that does I/O."""
