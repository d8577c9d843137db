"""`import`: reads what exists (audit logs, Events, captures, exports) into the store, in constant memory."""

from kubewitness.inputs.importer.run import Importer, Summary

__all__ = ["Importer", "Summary"]
