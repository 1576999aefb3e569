"""Standard Model processes: what collides, at which cross-section, with which particles in the final state."""
