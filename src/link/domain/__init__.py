"""What a linked table is and what may happen to it: values, states and plans, without any database."""
