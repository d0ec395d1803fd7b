"""Tiny nets and images for the whole family."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
