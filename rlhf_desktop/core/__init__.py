"""Settings, recipes, paths, ids, errors, events: what every other layer speaks. Standard library + pydantic."""
