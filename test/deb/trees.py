"""What is booted: a bare Debian 12, on it what a site has (PostgreSQL, curl, Python, plugins of Nagios), and for each host a layer of its own.

The first two are made once and kept below build/container, with apt's downloaded packages. A host's layer is an overlay that is
mounted only in the mount namespace of its systemd-nspawn, and so is gone with it, however that ends.
"""
import hashlib
import inspect
import pathlib
import re
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
STORE = ROOT / "build" / "container"
ARCHIVES = STORE / "archives"
BARE = ["systemd", "systemd-sysv", "dbus"]
SITE = ["postgresql", "curl", "python3-psycopg", "monitoring-plugins-basic"]
# Package lists are kept small: what is read least is compressed, and nothing is cached twice.
SMALL = 'Acquire::GzipIndexes "true";\nDir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n'
UPDATE = "apt-get -q update -o APT::Sandbox::User=root"
INSTALL = "apt-get -q -y -o APT::Sandbox::User=root install"
UNREAD = "-o Dpkg::Options::=--path-exclude=/usr/share/doc/* -o Dpkg::Options::=--path-exclude=/usr/share/locale/*"
NSPAWN = ["systemd-nspawn", "-q", "--register=no", "--keep-unit", f"--bind={ARCHIVES}:/var/cache/apt/archives"]
# With this machine's network, not booted.
OUTSIDE = ["--resolv-conf=copy-host", "--bind-ro=/etc/hosts", "--setenv=DEBIAN_FRONTEND=noninteractive", "--setenv=LC_ALL=C.UTF-8", "--pipe"]


def say(*words):
    print("check-deb:", *words, flush=True)


def do(*words):
    """A command of this machine; its output is only seen when it fails."""
    done = subprocess.run([str(word) for word in words], text=True, stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def sources():
    """The file of this machine's apt sources that names Debian's archive, and the first URI in it."""
    for path in sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*.sources")):
        found = re.search(r"^URIs: *(\S+)", path.read_text(), re.M)
        if found and "bookworm" in path.read_text():
            return path, found[1]
    raise RuntimeError("no *.sources of bookworm in /etc/apt/sources.list.d: write Debian's own there")


def settings():
    """How this machine's apt fetches: proxies, and what it checks."""
    rows = do("apt-config", "dump", "Acquire").splitlines()
    return SMALL + "".join(row + "\n" for row in rows if re.match(r"Acquire::(Check-|http|https|Retries|ForceIPv)", row))


def made(name, make, *packages):
    """The tree of a name, made anew when what it is made of has changed."""
    tree, stamp = STORE / name, STORE / f"{name}.made"
    recipe = f"{packages} {sources()[0].read_text()} {settings()} {inspect.getsource(make)}"
    wanted = hashlib.sha256(recipe.encode()).hexdigest()
    if tree.exists() and stamp.exists() and stamp.read_text() == wanted:
        return tree
    say(f"makes {tree.relative_to(ROOT)}, once")
    stamp.unlink(missing_ok=True)
    shutil.rmtree(tree, ignore_errors=True)
    (ARCHIVES / "partial").mkdir(parents=True, exist_ok=True)
    make(tree)
    stamp.write_text(wanted)
    return tree


def make_bare(tree):
    path, mirror = sources()
    do("debootstrap", "--variant=minbase", f"--include={','.join(BARE)}", "bookworm", tree, mirror)
    (tree / "etc/apt/sources.list").unlink(missing_ok=True)
    shutil.copy(path, tree / "etc/apt/sources.list.d/debian.sources")
    for key in pathlib.Path("/etc/apt/trusted.gpg.d").glob("*"):
        shutil.copy(key, tree / "etc/apt/trusted.gpg.d")
    (tree / "etc/apt/apt.conf.d/90machine").write_text(settings())
    (tree / "etc/hosts").write_text("127.0.0.1 localhost host\n::1 localhost\n")
    shutil.rmtree(tree / "var/cache/apt")
    (tree / "var/cache/apt/archives/partial").mkdir(parents=True)


def make_site(tree):
    do("cp", "-a", "--reflink=auto", made("bare", make_bare, BARE), tree)
    # Debian starts the servers of a fresh package; here nothing runs yet.
    policy = tree / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    do(*NSPAWN, "-D", tree, *OUTSIDE, "sh", "-euc", f"{UPDATE}; {INSTALL} --no-install-recommends {UNREAD} {' '.join(SITE)}")
    policy.unlink()


class Layer:
    """What one host writes over the site's tree, or over the layers of a host that is not running. Not removed by itself."""

    def __init__(self, path, over=None):
        self.path = path
        self.lower = f"{over.path}/upper:{over.lower}" if over else str(made("site", make_site, BARE, SITE))
        for name in ("upper", "work", "root"):
            (path / name).mkdir(parents=True)

    def nspawn(self, *options):
        """The words that run systemd-nspawn on it."""
        script = 'mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"; shift 2; exec "$@"'
        return ["unshare", "--mount", "sh", "-euc", script, "layer", self.lower, self.path, *NSPAWN, "-D", self.path / "root", *options]

    def fetch(self, package):
        """Puts a package into /root, and downloads what it depends on or recommends, so that the host can install it without network."""
        wanted = f"{INSTALL} --download-only /root/{package.name}"
        # Package lists that have grown old are fetched again.
        do(*self.nspawn(f"--bind-ro={package}:/package", *OUTSIDE, "sh", "-euc",
                        f"cp /package /root/{package.name}; {wanted} || {{ {UPDATE}; {wanted}; }}"))
