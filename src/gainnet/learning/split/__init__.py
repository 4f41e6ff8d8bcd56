"""A language model cut in two parts that train as if they were whole."""
