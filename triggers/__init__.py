"""The Level-1 trigger: from primitives to the L1 accept."""
