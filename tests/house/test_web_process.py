"""What a web process carries: torch is for those who grade and judge."""

import os
import subprocess
import sys

HEAVY = ("torch", "transformers", "tokenizers", "safetensors", "triton")
READ = """
import sys
import interviews.asgi
from django.urls import get_resolver
get_resolver().url_patterns  # every view
print(*(name for name in sys.argv[1:] if name in sys.modules))
"""


def test_a_web_process_loads_no_torch() -> None:
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "interviews.settings"}
    done = subprocess.run([sys.executable, "-c", READ, *HEAVY], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
