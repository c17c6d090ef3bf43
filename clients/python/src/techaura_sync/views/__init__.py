"""Messages as plain JSON values: camelCase keys, numbers as numbers, times as ISO 8601 UTC with milliseconds and Z.

The REST gateway and `techaura-sync --json` answer with these, so that a caller reads the same words in both. Each view stands
beside its type: mypy checks the one against the other, and /openapi.json is generated from the type. The meaning of a field
is its doc comment in the protos, where the field of the same JSON name stands in the message that the view is made of. A
text in `Annotated` says it where the JSON differs (null where the message has 0 or an empty text, times, keys of its own).
Views are pure functions; each returns a new dict.
"""
