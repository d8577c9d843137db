"""The keys of a parser section: all of Fluent Bit's."""

from __future__ import annotations

from kubewitness.config.keys import Key

KEYS = (
    Key("name", doc="what filters and inputs call it"),
    Key("format", doc="`json`, `regex`, `logfmt`, `ltsv`; ours: `cri`, `docker`, `klog`"),
    Key("regex", doc="of format regex: named groups become fields; Onigmo's syntax"),
    Key("time_key", default="time", doc="field that holds the record's time; looked for when there is `time_format`"),
    Key("time_format", doc="strptime(3), and `%L` for a fraction of a second"),
    Key("time_keep", "bool", "off", "keeps the field (always kept when it holds no such time)"),
    Key("time_offset", doc="of times that have no zone: `+0200`, `-03:00`, `Z`"),
    Key("time_strict", "bool", "on", "off: a time that fits in part is taken as far as it fits"),
    Key("time_system_timezone", "bool", "off", "times that have no zone are in this system's"),
    Key("types", doc="`FIELD:TYPE` by spaces or commas: string, integer, float, bool, hex. No effect in format json"),
    Key("skip_empty_values", "bool", "on", "of format regex: leaves out fields that are empty"),
    Key("decode_field", doc="`json FIELD`: the text of a field is JSON, its keys are put beside it", multi=True),
    Key("decode_field_as", doc="`json|escaped|escaped_utf8|mysql_quoted FIELD [try_next|do_next]`: the field decoded",
        multi=True),
    Key("cri_fields", "list", "time,stream,logtag,message", "ours, of format cri: names of the four fields"),
    Key("logfmt_no_bare_keys", "bool", "off", "of format logfmt: a word without `=` means that it does not match"),
)  # fmt: skip
