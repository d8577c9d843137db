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
    "record_modifier": ("kubewitness.filters.record_modifier", "RecordModifier"),
    "nest": ("kubewitness.filters.nest", "Nest"),
    "rewrite_tag": ("kubewitness.filters.rewrite_tag", "RewriteTag"),
    "throttle": ("kubewitness.filters.throttle", "Throttle"),
    "type_converter": ("kubewitness.filters.type_converter", "TypeConverter"),
    "checklist": ("kubewitness.filters.checklist", "Checklist"),
    "expect": ("kubewitness.filters.expect", "Expect"),
    "log_to_metrics": ("kubewitness.filters.log_to_metrics", "LogToMetrics"),
    "redact": ("kubewitness.filters.redact", "Redact"),
    "dedupe": ("kubewitness.filters.dedupe", "Dedupe"),
    "expr": ("kubewitness.filters.expr", "Expr"),
    "parser": ("kubewitness.filters.parser", "ParserFilter"),
    "kubernetes": ("kubewitness.filters.kubernetes", "Kubernetes"),
    "multiline": ("kubewitness.filters.multiline", "MultilineFilter"),
}
