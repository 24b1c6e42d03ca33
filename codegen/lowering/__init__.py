"""How operators become layers: one function an operator, put together by codegen.lower."""
