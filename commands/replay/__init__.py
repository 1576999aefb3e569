"""`darkline replay` and `darkline cut`: recorded events and users' files through the chain again."""
