"""What the longer commands do: each joins rooms to one job; `darkline.py` is the command line."""
