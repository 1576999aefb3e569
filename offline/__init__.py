"""From the spool to the limit."""
