"""The command line `codepmp-score`: scores files of any size, and makes pairs and picks of them."""
