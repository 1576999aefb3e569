"""`darkline validate`: parametrisations beside the numbers that they stand for."""
