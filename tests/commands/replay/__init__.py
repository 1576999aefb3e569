"""Tests of `darkline replay` and `darkline cut`."""
