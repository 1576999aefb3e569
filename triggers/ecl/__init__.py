"""ECL trigger: cells to clusters to decisions."""
