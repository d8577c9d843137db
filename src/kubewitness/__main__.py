"""`python -m kubewitness`."""

import sys

from kubewitness.cli import main

sys.exit(main())
