"""One file per filter. Adding one is: a file, a line in this table, a section in docs/filters.md, a pass of the
contract tests (tests/filters).

A filter is made from its keys (`filters.section.Given`: a mapping, or pairs in the order of the file where that
matters) and its name, and raises UsageError for a key that it does not know. Its module declares `KEYS`. See
`contracts.Filter`.
"""

#: plugin name -> (module, class); imported only when used
FILTERS: dict[str, tuple[str, str]] = {
    "grep": ("kubewitness.filters.grep", "Grep"),
    "modify": ("kubewitness.filters.modify", "Modify"),
}

#: names that are refused, and what to write instead
REFUSED: dict[str, str] = {
    "lua": "scripts are not run; filter `expr` keeps, drops and sets fields by expressions (docs/filters.md)",
}
