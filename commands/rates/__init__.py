"""`darkline rates`: how often the lines of a menu fire, alone and together, and why."""
