"""The High Level Trigger: from tracks and clusters to what is kept."""
