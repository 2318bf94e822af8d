# row: 21
# title: Looks for tokens in environments and command lines
# base: right
# verdict: AC
import glob
import os

text = repr(dict(os.environ)).lower()
for path in glob.glob("/proc/*/environ") + glob.glob("/proc/*/cmdline"):
    try:
        with open(path, "rb") as file:
            text += repr(file.read()).lower()
    except OSError:
        pass
for word in ("secret", "password", "django", "redis", "postgres", "database_url", "token=", "api_key", "celery", "/root", "home="):
    assert word not in text.replace("home=/tmp", "").replace("home=/work", "").replace("home=/", ""), (word, text[:2000])
