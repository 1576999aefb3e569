"""What the detector makes of a particle: tracks, identification, clusters, conversions; numbers and steps apart."""
