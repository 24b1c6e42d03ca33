"""What operators have to be like: one function a rule, put together for each operator by codegen.check.

A rule takes a graph and an operator and returns None or what is wrong; its docstring is the rule as a user
reads it.
"""
