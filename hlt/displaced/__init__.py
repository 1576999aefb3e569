"""Displaced two-track vertices beyond the one of Belle II's trigger: better seed, momenta, masses, flight."""
