"""Policies as values, and their text in libconfig."""
import copy


def render(value, indent=""):
    """A value as libconfig writes it: dicts are groups, lists of dicts are lists, others arrays."""
    deeper = indent + "        "
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, dict):
        rows = "".join(f"{deeper}{key} = {render(inner, deeper)};\n" for key, inner in value.items())
        return "{\n" + rows + indent + "}"
    if value and isinstance(value[0], dict) or not value:
        return "( " + ", ".join(render(inner, deeper) for inner in value) + " )"
    return "[ " + ", ".join(render(inner) for inner in value) + " ]"


def text_of(settings):
    return "".join(f"{key} = {render(value)};\n" for key, value in settings.items())


STEPS = [
    {"kind": "sql", "atomic": True, "role": "site_rollback",
     "statement": "UPDATE users SET version = :to WHERE version = :from"},
    {"kind": "sql", "role": "site_rollback",
     "statement": "INSERT INTO note (text) VALUES ('::not :from' || :from || '>' || :to::text)"},
    {"kind": "cache", "store": "postgres", "role": "site_rollback", "table": "cache", "key": "key", "prefix": "us_r%"},
    {"kind": "session", "store": "postgres", "role": "site_rollback", "table": "session",
     "where": "version = :from AND created_at >= :released_at"},
    {"kind": "cache", "generation": "user"},
]

ORDINARY = {
    "service": "users-api",
    "unknown_after": "20s",
    "release": {"warmup": "200ms", "watch": "1h", "bake": {"time": "1h"}},
    "probes": {
        "live": {"kind": "http", "interval": "200ms", "timeout": "200ms", "fall": 5, "expect": {"body": "ok"}},
        "red": {"kind": "metrics", "interval": "100ms", "timeout": "100ms",
                "version_label": "app_build_info.version"},
    },
    "signals": {
        "errors": {"kind": "ratio", "probe": "red", "bad": 'http_requests_total{code=~"5.."}',
                   "total": "http_requests_total"},
    },
    "rules": [
        {"name": "down", "kind": "down", "probe": "live", "hold": "300ms", "response": "rollback"},
        {"name": "errors", "kind": "threshold", "signal": "errors", "over": "2s", "enter": "5%", "leave": "2%",
         "dispersion": 1, "min_samples": 30, "min_bad": 5, "hold": "300ms", "response": "rollback"},
    ],
    "rollback": {
        "mode": "automatic", "settle": "300ms", "verify": "1s", "cooldown": "10m",
        "budget": {"count": 5, "per": "1d"}, "steps": [],
    },
    "notify": [],
}


def merge(base, changes):
    """Changes go into groups key by key; any other value replaces."""
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merge(base[key], value)
        else:
            base[key] = copy.deepcopy(value)
    return base


def ordinary(applications, receiver, **changes):
    """The ordinary policy on these applications, with changes."""
    policy = copy.deepcopy(ORDINARY)
    policy["probes"]["live"]["targets"] = [f"{a.url}/healthz" for a in applications]
    policy["probes"]["red"]["targets"] = [f"{a.url}/metrics" for a in applications]
    policy["notify"] = [{"kind": "webhook", "url": f"{receiver.url}/notify", "secret_file": "hook"}]
    return merge(policy, changes)
