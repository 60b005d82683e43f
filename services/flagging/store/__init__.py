"""The only place with SQL: days, flags and what is told of them."""
