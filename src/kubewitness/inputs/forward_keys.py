"""The keys of input `forward`: all of Fluent Bit's, and ours. `KEYS` is the documentation, too."""

from __future__ import annotations

from kubewitness.config.keys import Key
from kubewitness.inputs.server_keys import NET_KEYS, TLS_KEYS, TOTAL_KEY, place, unix_keys

_NOTHING = "accepted, without effect: "

KEYS = (
    *place(24224),
    *unix_keys("unix_path", ""),
    Key("tag_prefix", doc="put before the sender's tag"),
    Key("buffer_max_size", "size", "16M", "one message, packed; a sender of a larger one is told off (Fluent Bit: "
        "6144000, less than a chunk of Fluentd's)"),
    Key("buffer_chunk_size", "size", "1024000", _NOTHING + "messages are read as they come"),
    Key("shared_key", doc="key that both sides know: senders must prove that they do"),
    Key("shared_key_file", doc="file that holds `shared_key`; read at each handshake (not in Fluent Bit)"),
    Key("empty_shared_key", "bool", "off", "the same with an empty one, for `security.users` alone"),
    Key("self_hostname", default="localhost", doc="our name in the handshake"),
    Key("security.users", doc="a user and a password (`alice secret`) of whom senders must be one; several by "
        "repeating the key", multi=True),
    *NET_KEYS, *TLS_KEYS,
    # ours
    TOTAL_KEY,
    Key("cluster", "text", "default", "name in the store (not in Fluent Bit)"),
)  # fmt: skip
