"""How packets get there: links, routes, HTTP."""
