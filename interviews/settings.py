"""Settings, read from the environment once, typed, and loud when wrong.

Nothing set at all is the embedded default: SQLite and a Redis socket under `var/` (`manage.py serve` starts that Redis).
`DATABASE_URL` and `REDIS_URL` switch to services that somebody else runs.
"""

import fcntl
import hashlib
import os
import secrets
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

import environ

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

DEFAULT_STATE_DIR = (BASE_DIR / "var").resolve()
STATE_DIR = Path(env.str("ROOFLINE_STATE", default=str(DEFAULT_STATE_DIR))).resolve()
STATE_DIR.mkdir(parents=True, exist_ok=True)

DEBUG = env.bool("DEBUG", default=False)
EMBEDDED = not env.str("DATABASE_URL", default="")


def _secret_key() -> str:
    """The key from the environment; in the embedded default, one made on first start and kept beside the database."""
    if key := os.environ.get("SECRET_KEY", ""):
        return key
    if not EMBEDDED:
        raise RuntimeError("SECRET_KEY must be set when DATABASE_URL is.")
    path = STATE_DIR / "secret-key"
    folder = os.open(STATE_DIR, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # the site's processes start together, and all need the same key
        if not path.exists() or not path.read_text().strip():  # an empty one is left by a power cut or a full disk
            with tempfile.NamedTemporaryFile("w", dir=STATE_DIR, prefix="secret-key.", delete=False) as file:  # for its owner alone
                file.write(secrets.token_urlsafe(48))
                file.flush()
                os.fsync(file.fileno())
            Path(file.name).replace(path)
    finally:
        os.close(folder)
    return path.read_text()


SECRET_KEY = _secret_key()
LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]
# Where `serve` is told to listen is a name of the site, too, unless that is everywhere.
_LISTENS = env.str("HOST", default="") if EMBEDDED else ""
_OWN = [] if _LISTENS in ("", "0.0.0.0", "::", *LOOPBACK) else [f"[{_LISTENS}]" if ":" in _LISTENS else _LISTENS]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=LOOPBACK + _OWN)
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "interviews.accounts",
    "interviews.bank",
    "interviews.live",
    "interviews.review",
    "sandbox",
    "grading",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "django_vite",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "interviews.middleware.no_nul",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "interviews.middleware.content_security_policy",
    "allauth.account.middleware.AccountMiddleware",
]
ROOT_URLCONF = "interviews.urls"
ASGI_APPLICATION = "interviews.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "interviews" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


def _private(path: Path) -> Path:
    """The file, for its owner alone, before anything connects: SQLite gives the log and the index beside it the mode that it has then."""
    os.close(os.open(path, os.O_CREAT | os.O_RDONLY, 0o600))
    for file in path.parent.glob(f"{path.name}*"):  # an older site's, too
        with suppress(FileNotFoundError):  # the last to leave takes the log away
            if file.stat().st_mode & 0o077:
                file.chmod(0o600)
    return path


if EMBEDDED:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": _private(STATE_DIR / "roofline.sqlite3"),  # sessions, password hashes and answers
            "OPTIONS": {
                "timeout": 20,
                # Take the write lock when a transaction begins: a reader that upgrades would fail without waiting.
                "transaction_mode": "IMMEDIATE",
                # What was acknowledged outlives a power cut, not just a crash.
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
            },
            "TEST": {"NAME": STATE_DIR / f"test-{os.getpid()}.sqlite3"},
        }
    }
else:
    try:
        DATABASES = {"default": env.db_url("DATABASE_URL")}
    except ValueError:  # whose message may hold a part of the password
        raise RuntimeError("DATABASE_URL can't be read as a URL. A password is given in DB_PASSWORD as it is, or percent-encoded in the URL.") from None
    if password := os.environ.get("DB_PASSWORD", ""):  # not by env.str, to which $ means another variable
        DATABASES["default"]["PASSWORD"] = password
# A socket has no request boundary at which Django would check a pooled connection.
DATABASES["default"]["CONN_MAX_AGE"] = 0
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_SOCKET = STATE_DIR / "redis.sock"
if len(str(REDIS_SOCKET)) > 100:  # a socket's address holds 108 bytes
    REDIS_SOCKET = Path(tempfile.gettempdir()) / f"roofline-{hashlib.sha256(str(STATE_DIR).encode()).hexdigest()[:16]}.sock"
REDIS_URL = env.str("REDIS_URL", default=f"unix://{REDIS_SOCKET}")
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "roofline"},
    }
}
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_BROKER_CONNECTION_TIMEOUT = 3
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Above the longest job: Redis hands an unacknowledged message to a second worker after this many seconds.
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULE_FILENAME = str(STATE_DIR / "beat")
WORKER_QUEUES = ("default", "grading", "sandbox.cpu", "sandbox.gpu")
CELERY_TASK_ROUTES = {
    "grading.*": {"queue": "grading"},
    "interviews.review.tasks.reap": {"queue": "default"},  # not behind the grading that it watches
    "interviews.review.tasks.send_letters": {"queue": "default"},
    "interviews.review.tasks.*": {"queue": "grading"},
    "sandbox.tasks.reap": {"queue": "default"},
    "sandbox.tasks.judge_run": {"queue": "sandbox.cpu"},
}
CELERY_BEAT_SCHEDULE = {
    "close-expired-interviews": {"task": "interviews.live.tasks.sweep", "schedule": 5.0},
    "requeue-abandoned-runs": {"task": "sandbox.tasks.reap", "schedule": 5.0},
    "requeue-abandoned-grading": {"task": "interviews.review.tasks.reap", "schedule": 5.0},
    "send-letters": {"task": "interviews.review.tasks.send_letters", "schedule": 30.0},
}

SANDBOX = {
    # Candidate runs judged at once by one worker, and jails kept started with torch imported.
    "concurrency": env.int("SANDBOX_CONCURRENCY", default=max(1, (os.cpu_count() or 2) - 1)),
    "pool_size": env.int("SANDBOX_POOL", default=2),
    "driver": env.str("SANDBOX_DRIVER", default="auto"),
    # Rate and queue limits, per user and in all.
    "runs_per_minute": env.int("SANDBOX_RUNS_PER_MINUTE", default=12),
    "user_concurrent": env.int("SANDBOX_USER_CONCURRENT", default=2),
    "queue_cap": env.int("SANDBOX_QUEUE_CAP", default=500),
}

# A language model that grades prose instead of the default scorer; off unless an endpoint or a checkpoint is named. See docs/grading.md.
JUDGE = {
    "url": env.str("JUDGE_URL", default=""),
    "model": env.str("JUDGE_MODEL", default=""),
    "key": env.str("JUDGE_KEY", default=""),
    "checkpoint": env.str("JUDGE_CHECKPOINT", default=""),
    "timeout": env.float("JUDGE_TIMEOUT", default=60.0),
}
JUDGE_RUNS = env.int("JUDGE_RUNS", default=3)

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_LOGOUT_REDIRECT_URL = "home"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_UNIQUE_EMAIL = True
ACCOUNT_ADAPTER = "interviews.accounts.adapter.AccountAdapter"
# Beside the library's: failures of an account from everywhere together, and mails by who asks for them, because a limit by address would let anybody
# keep its owner from confirming it.
ACCOUNT_RATE_LIMITS = {"login_failed_anywhere": "300/h/key", "confirm_email": "60/m/ip"}
# Mail is verified where mail can be sent at all.
ACCOUNT_EMAIL_VERIFICATION = env.str("ACCOUNT_EMAIL_VERIFICATION", default="none" if EMBEDDED else "mandatory")
# By a code that counts in the browser that asked for it: a link would confirm, for the address's owner who follows it, whoever signed up with that address
# before, and their password. Until the code is given, an address that is added to an account belongs to nobody.
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = ACCOUNT_EMAIL_VERIFICATION == "mandatory"
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND = True
ACCOUNT_FORMS = {"confirm_email_verification_code": "interviews.accounts.forms.CodeForm"}
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
# Without mail nothing can be said in private, so that a taken address is refused in the open.
ACCOUNT_PREVENT_ENUMERATION = ACCOUNT_EMAIL_VERIFICATION == "mandatory"
# The owner of an address that somebody else signed up with gets in by the link in the mail, past a sign-up of their own that still waits for a code.
ACCOUNT_LOGIN_ON_PASSWORD_RESET = True
EMAIL_CONFIG = env.email_url_config(env.str("EMAIL_URL", default="") or "consolemail://")
vars().update(EMAIL_CONFIG)
EMAIL_TIMEOUT = 20  # seconds that a mail server may leave unanswered
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="Roofline <roofline@localhost>")

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "interviews.errors.exception_handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {"TITLE": "Roofline", "VERSION": "0.1.0", "COMPONENT_SPLIT_REQUEST": True}

# WhiteNoise reads files from a synchronous iterator, which is right for files of a page; Django says so at each one.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")
# Limits are counted here, and an entry that is crowded out is a limit that is forgotten.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 100_000}}}
STATIC_URL = "/static/"
STATIC_ROOT = STATE_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)
FRONTEND_DIST = Path(env.str("FRONTEND_DIST", default=str(BASE_DIR / "frontend" / "dist")))  # `serve` gives the site a copy of its own
STATICFILES_DIRS = [FRONTEND_DIST] if FRONTEND_DIST.is_dir() else []
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
# Vite's own file names carry a content hash; WhiteNoise must not hash them again, only mark them immutable.
WHITENOISE_IMMUTABLE_FILE_TEST = r"^.+/assets/.+[.-][0-9a-zA-Z_-]{8,12}\..+$"
WHITENOISE_USE_FINDERS = True
DJANGO_VITE = {
    "default": {
        "dev_mode": env.bool("VITE_DEV", default=False),
        "manifest_path": FRONTEND_DIST / "manifest.json",
    }
}

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True

SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_PROXY", default=False) else None
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.bool("SECURE_COOKIES", default=not EMBEDDED)
# Said over HTTPS alone. An hour where a proxy is known to bring it: a longer one is not taken back when the certificate runs out.
SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", default=3600 if SECURE_PROXY_SSL_HEADER and SESSION_COOKIE_SECURE else 0)
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="WARNING")},
}
