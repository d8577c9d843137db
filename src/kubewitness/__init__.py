"""kubewitness: a flight recorder for Kubernetes."""

__version__ = "0.1.0"
