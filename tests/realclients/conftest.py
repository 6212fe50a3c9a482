"""The modules beside these tests, by their plain names."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode adds no test folder to the path
