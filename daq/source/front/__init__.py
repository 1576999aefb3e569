"""The trigger front ends: how cells, drift chamber and KLM see an event; numbers and sub-detectors apart."""
