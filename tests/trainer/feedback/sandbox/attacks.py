"""Programs that attack a sandbox. They are asked for `square(7)`, and none of them solves it.

They must run behind walls, and nowhere else.
"""

from trainer.feedback.sandbox.types import Limits, Status

ARGUMENTS = "(7,)"
EXPECTED = "49"

QUICK = Limits(
    cpu_seconds=0.4, wall_seconds=1.5, memory_bytes=128 << 20, processes=8, file_bytes=4 << 20
)

_WRONG = "\ndef square(x):\n    return 'wrong'\n"

CHEATS: dict[str, str] = {
    "sys.exit before the function": "import sys; sys.exit(0)" + _WRONG,
    "sys.exit in the function": "import sys\ndef square(x): sys.exit(0)",
    "os._exit before the function": "import os; os._exit(0)" + _WRONG,
    "os._exit in the function": "import os\ndef square(x): os._exit(0)",
    "quit": "def square(x): quit()",
    "a decorator at the end": _WRONG + "def skip(f): return lambda *a: None\n@skip",
    "an open string at the end": _WRONG + '"""',
    "a comment at the end": _WRONG + "\\",
    "a syntax error": "def square(x) return 49",
    "a null byte": "def square(x):\n    return 'wrong'\0",
    "a coding line": "# -*- coding: rot13 -*-\nqrs fdhner(k): erghea 49",
    "half a surrogate pair": "def square(x):\n    return '\ud800'",
    "a class that equals everything": """
class Same:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 49
    def __bool__(self): return True
    def __int__(self): return 49
    def __index__(self): return 49
    def __repr__(self): return "49"
    __str__ = __repr__
    def __reduce__(self): return (int, (49,))
    def __getattr__(self, name): return lambda *a, **k: 49
def square(x): return Same()
""",
    "an int that equals everything": """
class Same(int):
    def __eq__(self, other): return True
    def __hash__(self): return 49
    def __repr__(self): return "49"
    __str__ = __repr__
    def __int__(self): return 49
    def __index__(self): return 49
    def __lt__(self, other): return True
    def __neg__(self): return 49
    def __format__(self, spec): return "49"
    def bit_length(self): return 6
def square(x): return Same(3)
""",
    "a string that encodes as another": """
class Text(str):
    def encode(self, *a): return b"49"
    def __str__(self): return "49"
    def __repr__(self): return "49"
def square(x): return Text("no")
""",
    "a type that says it is int": """
class Meta(type):
    def __eq__(self, other): return True
    def __hash__(self): return hash(int)
    def __instancecheck__(self, other): return True
    def __subclasscheck__(self, other): return True
class Same(metaclass=Meta):
    __class__ = int
    __module__ = "numpy"
    def item(self): return self
    def tolist(self): return self
    def __repr__(self): return "49"
def square(x): return Same()
""",
    "patched comparison": """
import builtins, operator
operator.eq = lambda a, b: True
builtins.all = builtins.any = builtins.bool = lambda *a: True
builtins.isinstance = lambda a, b: True
def square(x): return 'wrong'
""",
    "patched builtins": """
import builtins
builtins.repr = builtins.str = lambda *a: "49"
builtins.type = lambda *a: int
builtins.exit = builtins.AssertionError = None
def square(x): return 'wrong'
""",
    "printing at exit": """
import atexit
atexit.register(lambda: print(49))
def square(x): raise SystemExit(0)
""",
    "printing the answer": "print(49)\ndef square(x):\n    print(49)\n    return None",
    "patched json": """
import json, json.encoder
json.dumps = lambda *a, **k: "49"
json.JSONEncoder.encode = lambda *a: "49"
json.JSONEncoder.iterencode = lambda *a, **k: iter(["49"])
json.encoder.c_make_encoder = None
import sys
def square(x): sys.exit(0)
""",
    "forged statuses on all descriptors": """
import os
for d in range(256):
    for text in (b"ok 49\\n", b'{"status": "ok", "value": "49"}\\n', b"exit 0", b"\\0" * 64):
        try: os.write(d, text)
        except OSError: pass
def square(x): os._exit(0)
""",
    "closed descriptors": "import os\nos.closerange(0, 1 << 16)\ndef square(x): return 'wrong'",
    "replaced descriptors": """
import os
null = os.open("/dev/null", os.O_RDWR)
for d in range(64):
    if d != null:
        os.dup2(null, d)
def square(x): return 'wrong'
""",
    "a standard output that lies": """
import sys
class Out:
    def write(self, text): return len(text)
    def flush(self): sys.exit(0)
    def __getattr__(self, name): return self
sys.stdout = sys.__stdout__ = sys.stderr = Out()
def square(x): return 'wrong'
""",
    "an exception hook": """
import sys, threading
sys.excepthook = sys.unraisablehook = threading.excepthook = lambda *a: print(49)
class Bad:
    def __del__(self): raise ValueError
def square(x):
    Bad()
    raise ValueError
""",
    "an exception that cannot be shown": """
class Bad(BaseException):
    def __str__(self): raise Bad
    __repr__ = __str__
class Meta(type):
    @property
    def __name__(cls): raise KeyError
class Worse(BaseException, metaclass=Meta): pass
def square(x): raise Worse
""",
    "an exception called ok": "class ok(Exception): pass\ndef square(x): raise ok('ok 49')",
    "an exception whose name has lines": """
def square(x): raise type("x\\nok 49\\n", (Exception,), {})
""",
    "signals to its parent": """
import os, signal
def square(x):
    for sign in (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP, signal.SIGINT, signal.SIGUSR1):
        for target in (1, os.getppid()):
            try: os.kill(target, sign)
            except OSError: pass
    return 'wrong'
""",
    "an interrupt of its parent": """
import os, signal, time
def square(x):
    for _ in range(20):
        os.kill(1, signal.SIGINT)
        time.sleep(0.01)
    return 'wrong'
""",
    "signals to its group": """
import os, signal
def square(x):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try: os.kill(0, sign)
        except OSError: pass
    return 'wrong'
""",
    "signals to everybody": """
import os, signal
def square(x):
    try: os.kill(-1, signal.SIGKILL)
    except OSError: pass
    os.killpg(os.getpgrp(), signal.SIGKILL)
""",
    "stopping itself": "import os, signal\ndef square(x): os.kill(os.getpid(), signal.SIGSTOP)",
    "a child that answers and goes on": """
import os
def square(x):
    if os.fork() == 0:
        return 48
    os._exit(0)
""",
    "a child that closes": """
import os
def square(x):
    if os.fork():
        os.abort()
    os._exit(0)
""",
    "a generator that exits": "import os\ndef square(x):\n    os._exit(0)\n    yield 49",
    "a cycle": "def square(x):\n    a = []\n    a.append(a)\n    return a",
    "a deep value": """
def square(x):
    a = []
    for _ in range(10**5): a = [a]
    return a
""",
    "an attribute that exits": """
import os
class Sly(list):
    def __iter__(self): os._exit(0)
    def __len__(self): os._exit(0)
    def __getitem__(self, i): os._exit(0)
def square(x): return Sly([49])
""",
    "the caller's code": """
import sys
def square(x):
    frame = sys._getframe(1)
    while frame:
        for name, value in list(frame.f_locals.items()) + list(frame.f_globals.items()):
            for key in dir(value):
                if key in ("tell", "report"):
                    try: getattr(value, key)("ok", "48")
                    except BaseException: pass
        frame = frame.f_back
    return 'wrong'
""",
    "another module's memory": """
import gc, sys
def square(x):
    for thing in gc.get_objects():
        if isinstance(thing, dict) and "expected" in thing:
            return thing["expected"]
    for thing in gc.get_objects():
        if type(thing).__name__ in ("Problem", "CallTest", "AssertTest"):
            return thing
    return 'wrong'
""",
    "raising while it is freed": """
class Bad:
    def __del__(self): raise SystemExit(0)
def square(x): return Bad()
""",
    "threads that never end": """
import threading, time
def spin():
    while True: time.sleep(0.01)
for _ in range(3): threading.Thread(target=spin).start()
def square(x): raise SystemExit(0)
""",
    "a trace function": """
import sys, threading
def trace(frame, event, arg):
    frame.f_locals
    return trace
sys.settrace(trace); sys.setprofile(trace)
def square(x): return 'wrong'
""",
    "patched modules of the sandbox": """
import sys
for name, module in list(sys.modules.items()):
    if "sandbox" in name:
        for key, value in list(vars(module).items()):
            if callable(value) and not isinstance(value, type) and key in ("encode", "_value"):
                setattr(module, key, lambda *a, **k: "48")
def square(x): return 'wrong'
""",
    "a library call into its own memory": """
import ctypes
def square(x):
    ctypes.string_at(0)
""",
}
"""Name -> program that tries to be counted as right without the answer."""

HOGS: dict[str, tuple[str, frozenset[Status]]] = {
    "a loop": ("def square(x):\n    while True: pass", frozenset([Status.TIMEOUT])),
    "sleeping": ("import time\ndef square(x): time.sleep(1e6)", frozenset([Status.TIMEOUT])),
    "sleeping without signals": (
        "import signal, time\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n"
        "def square(x): time.sleep(1e6)",
        frozenset([Status.TIMEOUT]),
    ),
    "a loop that ignores signals": (
        "import signal\nfor s in range(1, 65):\n"
        "    try: signal.signal(s, signal.SIG_IGN)\n    except (OSError, ValueError): pass\n"
        "def square(x):\n    while True: pass",
        frozenset([Status.TIMEOUT]),
    ),
    "a regular expression": (
        "import re\ndef square(x): return re.match('(a+)+$', 'a' * 60 + 'b')",
        frozenset([Status.TIMEOUT]),
    ),
    "a power": ("def square(x): return 9 ** 9 ** 9", frozenset([Status.TIMEOUT, Status.MEMORY])),
    "a power for the compiler": (
        "def square(x): return " + " ** ".join(["9"] * 9),
        frozenset([Status.TIMEOUT, Status.MEMORY, Status.COMPILE]),
    ),
    "a source that takes the compiler's memory": (
        "x = " + "(" * 5000 + ")" * 5000 + _WRONG,
        frozenset([Status.COMPILE, Status.MEMORY, Status.EXCEPTION]),
    ),
    "a deep source": (
        "x = " + "-" * 100_000 + "1" + _WRONG,
        frozenset([Status.COMPILE, Status.MEMORY, Status.EXCEPTION]),
    ),
    "memory": (
        "def square(x):\n    a = []\n    while True: a.append(bytearray(1 << 20))",
        frozenset([Status.MEMORY]),
    ),
    "memory at once": ("def square(x): return len(b'x' * (1 << 40))", frozenset([Status.MEMORY])),
    "memory of several processes": (
        "import os\ndef square(x):\n"
        "    for _ in range(6):\n        if os.fork() == 0: break\n"
        "    a = bytearray(b'x' * (80 << 20))\n"
        "    while True: pass",
        frozenset([Status.MEMORY, Status.TIMEOUT]),
    ),
    "deep recursion": ("def square(x): return square(x)", frozenset([Status.EXCEPTION])),
    "bottomless recursion": (
        "import sys\nsys.setrecursionlimit(10**9)\ndef square(x): return square(x) + 1",
        frozenset([Status.EXCEPTION, Status.MEMORY, Status.TIMEOUT]),
    ),
    "a gigabyte of output": (
        "def square(x):\n    for _ in range(1024): print('x' * (1 << 20))",
        frozenset([Status.OUTPUT_LIMIT]),
    ),
    "a gigabyte of output below Python": (
        "import os\ndef square(x):\n    for _ in range(1024): os.write(1, b'x' * (1 << 20))",
        frozenset([Status.OUTPUT_LIMIT]),
    ),
    "a huge value": ("def square(x): return 'x' * (16 << 20)", frozenset([Status.OUTPUT_LIMIT])),
    "a huge list": (
        "def square(x): return list(range(2_000_000))",
        frozenset([Status.OUTPUT_LIMIT, Status.MEMORY]),
    ),
    "a huge int": ("def square(x): return 1 << (1 << 26)", frozenset([Status.OUTPUT_LIMIT])),
    "an endless iterator": (
        "import itertools\ndef square(x): return itertools.count()",
        frozenset([Status.OUTPUT_LIMIT, Status.TIMEOUT, Status.MEMORY]),
    ),
    "a huge error": (
        "def square(x): raise type('x' * (1 << 24), (Exception,), {})",
        frozenset([Status.EXCEPTION, Status.OUTPUT_LIMIT]),
    ),
    "much on the standard error": (
        "import sys\ndef square(x):\n    while True: sys.stderr.write('x' * (1 << 20))",
        frozenset([Status.TIMEOUT, Status.EXCEPTION, Status.OUTPUT_LIMIT]),
    ),
    "a fork bomb": (
        "import os\ndef square(x):\n    while True:\n        try: os.fork()\n"
        "        except OSError: pass",
        frozenset([Status.TIMEOUT, Status.EXCEPTION, Status.MEMORY]),
    ),
    "threads": (
        "import threading, time\ndef square(x):\n    while True:\n"
        "        threading.Thread(target=time.sleep, args=(1e6,)).start()",
        frozenset([Status.EXCEPTION, Status.TIMEOUT]),
    ),
    "files that fill the disk": (
        "import itertools\ndef square(x):\n    for n in itertools.count():\n"
        "        with open(f'/tmp/{n}', 'wb') as f: f.write(b'x' * (1 << 20))",
        frozenset([Status.EXCEPTION]),
    ),
    "one large file": (
        "def square(x):\n    with open('/tmp/f', 'wb') as f:\n"
        "        while True: f.write(b'x' * (1 << 20))",
        frozenset([Status.EXCEPTION]),
    ),
    "many empty files": (
        "import itertools\ndef square(x):\n    for n in itertools.count():\n"
        "        open(f'/tmp/{n}', 'w').close()",
        frozenset([Status.EXCEPTION]),
    ),
    "descriptors": (
        "def square(x):\n    a = []\n    while True: a.append(open('/dev/null'))",
        frozenset([Status.EXCEPTION]),
    ),
    "pipes that are full": (
        "import os\ndef square(x):\n    while True:\n        r, w = os.pipe()\n"
        "        os.set_blocking(w, False)\n"
        "        try:\n            while True: os.write(w, b'x' * 65536)\n"
        "        except BlockingIOError: pass",
        frozenset([Status.EXCEPTION]),
    ),
    "a full answer channel": (
        "import os\ndef square(x):\n    for d in range(3, 64):\n        try:\n"
        "            while True: os.write(d, b'x' * 65536)\n        except OSError: pass\n"
        "    return 'wrong'",
        frozenset([Status.OUTPUT_LIMIT, Status.TIMEOUT, Status.EXCEPTION]),
    ),
    "a spin of processes that replace each other": (
        "import os\ndef square(x):\n    while True:\n        if os.fork(): os._exit(0)",
        frozenset([Status.TIMEOUT, Status.EXCEPTION]),
    ),
}
"""Name -> program that takes what it can, with the statuses that are right for it."""

_ATTEMPT = """
reached = []
def attempt(name, function):
    try:
        value = function()
    except BaseException:
        return None
    reached.append(name)
    return value
"""

PROBES: dict[str, str] = {
    "descriptors": """
import os, stat
def square(x):
    for d in range(4, 1 << 12):
        attempt(f"descriptor {d}", lambda: os.fstat(d))
    for d in range(3):
        found = attempt("", lambda: os.fstat(d))
        reached[:] = [each for each in reached if each]
        if found and (stat.S_ISSOCK(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            reached.append(f"descriptor {d} is {oct(found.st_mode)}")
    return reached
""",
    "other processes": """
import os
def square(x):
    for name in ("/proc/1/environ", "/proc/1/mem", "/proc/1/maps", "/proc/1/fd/0",
                 "/proc/1/root/etc", "/proc/self/root/../etc/passwd",
                 f"/proc/{os.getppid()}/environ",
                 f"/proc/{os.getppid()}/mem", f"/proc/{os.getppid()}/cmdline", "/proc/kcore",
                 "/proc/kallsyms", "/proc/mounts", "/proc/net/tcp", "/proc/keys"):
        attempt(name, lambda: open(name, "rb").read(1))
    for pid in range(3, 4096):
        if pid != os.getpid():
            attempt(f"process {pid}", lambda: os.kill(pid, 0))
            attempt(f"handle of {pid}", lambda: os.pidfd_open(pid))
    return reached
""",
    "the memory of others": """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    if libc.syscall(*map(ctypes.c_long, arguments)) == -1: raise OSError(ctypes.get_errno())
def square(x):
    for pid in (1, os.getppid()):
        attempt(f"ptrace of {pid}", lambda: call(101, 16, pid, 0, 0))
        attempt(f"seize of {pid}", lambda: call(101, 0x4206, pid, 0, 0))
        buffer = ctypes.create_string_buffer(64)
        vector = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 64)
        remote = (ctypes.c_size_t * 2)(id(libc), 64)
        attempt(f"memory of {pid}", lambda: call(
            310, pid, ctypes.addressof(vector), 1, ctypes.addressof(remote), 1, 0))
        handle = attempt("", lambda: os.pidfd_open(pid))
        for number in range(8):
            attempt(f"descriptor {number} of {pid}", lambda: call(438, handle, number, 0))
    reached[:] = [each for each in reached if each]
    return reached
""",
    "the network": """
import socket
def square(x):
    for address in (
        ("192.0.2.1", 80), ("127.0.0.1", PORT), ("10.0.0.1", 22), ("169.254.169.254", 80)
    ):
        attempt(f"TCP {address}", lambda: socket.create_connection(address, 0.2))
        if address[0] != "127.0.0.1":
            attempt(f"UDP {address}", lambda: socket.socket(type=2).connect(address))
    attempt("TCP 6", lambda: socket.create_connection(("2001:db8::1", 80), 0.2))
    attempt("UDP 6", lambda: socket.socket(10, 2).connect(("2001:db8::1", 53)))
    attempt("a name", lambda: socket.gethostbyname("example.com"))
    attempt("interfaces", socket.if_nameindex)
    return reached
""",
    "sockets of other families": """
import socket
def square(x):
    for family in range(3, 64):
        if family == socket.AF_INET6: continue
        for kind in (1, 2, 3, 5):
            attempt(f"family {family}", lambda: socket.socket(family, kind).close())
    attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
    attempt("packets", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3))
    return reached
""",
    "sockets of this machine": """
import socket
def square(x):
    attempt("abstract", lambda: socket.socket(socket.AF_UNIX).connect("\\0" + NAME))
    attempt("path", lambda: socket.socket(socket.AF_UNIX).connect(SOCKET))
    for path in ("/run/dbus/system_bus_socket", "/var/run/docker.sock", "/run/systemd/notify"):
        attempt(path, lambda: socket.socket(socket.AF_UNIX).connect(path))
    return reached
""",
    "files of the user": """
import os
def square(x):
    for path in (SECRET, HOME_FOLDER + "/.bashrc", HOME_FOLDER + "/.cache",
                 HOME_FOLDER + "/.ssh", CHECKOUT, "/etc/passwd", "/etc/shadow",
                 "/etc/hostname", "/var", "/sys", "/run", "/mnt", "/opt", "/boot", "/srv",
                 "/worker", "/jail", "/tests", "/app", "/proc", "/dev/mem", "/dev/kvm", "/dev/fuse",
                 "/dev/tty", "/dev/ptmx", "/dev/mqueue", "/dev/vsock"):
        attempt(path, lambda: os.stat(path) if not os.path.isdir(path) else os.listdir(path))
    return reached
""",
    "symlinks out": """
import os
def square(x):
    for number, target in enumerate((SECRET, CHECKOUT, "/proc/1/root", "/proc/self/cwd",
                                     "../../../../../.." + SECRET, "/tmp/../../.." + SECRET)):
        os.symlink(target, f"/tmp/link{number}")
        attempt(target, lambda: os.stat(f"/tmp/link{number}"))
        attempt("w" + target, lambda: open(f"/tmp/link{number}", "a"))
    attempt("chroot", lambda: os.chroot("/tmp"))
    for up in range(12):
        os.chdir("..")
    attempt("above the root", lambda: open(SECRET.lstrip("/")))
    return reached
""",
    "writing outside": """
import os
def square(x):
    for folder, folders, _ in os.walk("/"):
        depth = folder.count("/")
        if depth > 4: folders.clear()
        if folder == "/tmp" or folder.startswith("/tmp/"): continue
        attempt(folder, lambda: open(os.path.join(folder, NAME), "w"))
        attempt(folder, lambda: os.mkdir(os.path.join(folder, NAME)))
    for path in ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"):
        # With the mode that it has: if this works, it does no harm.
        attempt("chmod " + path, lambda: os.chmod(path, os.stat(path).st_mode & 0o7777))
        attempt("times of " + path, lambda: os.utime(path))
    for path in ("/usr/bin/env", "/usr/lib/os-release", SECRET, __import__("json").__file__):
        attempt(path, lambda: open(path, "a"))
        attempt("chmod " + path, lambda: os.chmod(path, 0o777))
        attempt("unlink " + path, lambda: os.unlink(path))
        attempt("link " + path, lambda: os.link(path, "/tmp/hard"))
    return reached
""",
    "mounts and namespaces": """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    if getattr(libc, name)(*arguments) == -1: raise OSError(ctypes.get_errno())
def square(x):
    for flag in (1 << 28, 1 << 29, 1 << 17, 1 << 30, 1 << 27, 1 << 26, 1 << 25, 0x80):
        attempt(f"unshare {flag:x}", lambda: call("unshare", flag))
        if flag != 0x80:
            def cloned():
                pid = libc.syscall(ctypes.c_long(56), ctypes.c_long(flag | 17), 0, 0, 0, 0)
                if pid == 0: os._exit(0)
                if pid < 0: raise OSError
            attempt(f"clone {flag:x}", cloned)
    os.makedirs("/tmp/a/b")
    attempt("tmpfs", lambda: call("mount", b"t", b"/tmp/a", b"tmpfs", ctypes.c_ulong(0), None))
    attempt("proc", lambda: call("mount", b"p", b"/tmp/a", b"proc", ctypes.c_ulong(0), None))
    attempt("bind", lambda: call("mount", b"/", b"/tmp/a", None, ctypes.c_ulong(4096), None))
    attempt("remount", lambda: call("mount", None, b"/", None, ctypes.c_ulong(32), None))
    attempt("umount", lambda: call("umount2", b"/usr/lib", 2))
    attempt("umount /", lambda: call("umount2", b"/", 2))
    attempt("pivot_root", lambda: call("syscall", ctypes.c_long(155), b"/tmp/a", b"/tmp/a/b"))
    attempt("chroot", lambda: os.chroot("/tmp/a"))
    for number in (428, 429, 430, 431, 432, 442):
        new = (ctypes.c_long(number), 0, 0, 0, 0, 0)
        attempt(f"new mount API {number}", lambda: call("syscall", *new))
    for number in range(425, 428):
        attempt(f"io_uring {number}", lambda: call("syscall", ctypes.c_long(number), 1, 0, 0, 0))
    return reached
""",
    "privileges": """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    if getattr(libc, name)(*arguments) == -1: raise OSError(ctypes.get_errno())
def square(x):
    attempt("setuid 0", lambda: os.setuid(0))
    attempt("setresuid 0", lambda: os.setresuid(0, 0, 0))
    attempt("setgid 0", lambda: os.setgid(0))
    attempt("setgroups", lambda: os.setgroups([0]))
    attempt("nice", lambda: os.nice(-5))
    attempt("mknod", lambda: os.mknod("/tmp/m", 0o60666, os.makedev(8, 0)))
    attempt("chown", lambda: (open("/tmp/c", "w").close(), os.chown("/tmp/c", 0, 0)))
    attempt("hostname", lambda: call("sethostname", b"x", 1))
    attempt("new privileges", lambda: call("prctl", 38, 0, 0, 0, 0))
    if libc.prctl(39, 0, 0, 0, 0) != 1: reached.append("no_new_privs is off")
    attempt("clock", lambda: __import__("time").clock_settime(0, 0))
    attempt("priority", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10)))
    attempt("sync", lambda: call("syscall", ctypes.c_long(162)))
    attempt("affinity", lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)))
    attempt("reboot", lambda: call("reboot", 0xFEE1DEAD))
    attempt("bpf", lambda: call("syscall", ctypes.c_long(321), 0, 0, 0))
    attempt("keys", lambda: call("syscall", ctypes.c_long(250), 0, -4 & (2**64 - 1), 1))
    attempt("perf", lambda: call("syscall", ctypes.c_long(298), 0, 0, -1 & (2**64 - 1), 0, 0))
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc.capget(header, data)
    if any(data): reached.append(f"capabilities {list(data)}")
    data[0] = data[1] = 1 << 21
    attempt("capset", lambda: call("capset", header, data))
    return reached
""",
    "limits": """
import resource
def square(x):
    for which in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_NPROC,
                  resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        soft, hard = resource.getrlimit(which)
        if hard == resource.RLIM_INFINITY: reached.append(f"{which} has no limit")
        attempt(f"raise {which}", lambda: resource.setrlimit(which, (hard + 1, hard + 1)))
        attempt(f"lift {which}", lambda: resource.setrlimit(which, (-1, -1)))
        attempt(f"limit of parent {which}", lambda: resource.prlimit(1, which, (1, 1)))
    return reached
""",
    "memory that nobody counts": """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    value = getattr(libc, name)(*arguments)
    if value == -1: raise OSError(ctypes.get_errno())
    return value
def square(x):
    attempt("shared memory", lambda: call("shmget", 0, 1 << 20, 0o1600))
    attempt("message queue", lambda: call("msgget", 0, 0o1600))
    attempt("memfd", lambda: os.memfd_create("x"))
    attempt("secret", lambda: call("syscall", ctypes.c_long(447), 0))
    attempt("semaphores", lambda: call("semget", 0, 1 << 10, 0o1600))
    attempt("POSIX queue", lambda: call("syscall", ctypes.c_long(240), b"q", 0o102, 0o600, 0))
    attempt("inotify", lambda: call("inotify_init"))
    attempt("locked", lambda: call("mlock", ctypes.create_string_buffer(1 << 16), 1 << 16))
    def grow():
        os.lseek(0, 0, 0)
        os.ftruncate(0, 1 << 30)
    attempt("standard input grows", grow)
    return reached
""",
    "a terminal": """
import fcntl, os, termios
def square(x):
    for d in range(4):
        attempt(f"TIOCSTI {d}", lambda: fcntl.ioctl(d, termios.TIOCSTI, b"x"))
        attempt(f"TIOCLINUX {d}", lambda: fcntl.ioctl(d, 0x541C, b"\\3"))
        attempt(f"terminal {d}", lambda: os.ttyname(d))
    attempt("controlling terminal", lambda: os.open("/dev/tty", os.O_RDWR))
    attempt("pseudo terminal", lambda: os.openpty())
    return reached
""",
    "the environment": """
import os
def square(x):
    reached.extend(value for value in os.environ.values() if NAME in value)
    reached.extend(name for name in os.environ if "KEY" in name or "TOKEN" in name)
    return reached
""",
    "packages of the user": """
import importlib, sys
def square(x):
    for name in ("trainer.feedback.problem", "trainer.cli", "numpy", "torch", "pip", "datasets",
                 "tests.trainer", "service", "reward_model"):
        attempt(name, lambda: importlib.import_module(name))
    import trainer.feedback.sandbox as sandbox
    return reached
""".replace("    import trainer.feedback.sandbox as sandbox\n", ""),
}
"""Name -> program whose `square` returns a list of what it could reach; it must be empty.

NAME, PORT, SECRET, SOCKET, CHECKOUT and HOME_FOLDER are filled in by the test.
"""


def probe(name: str, facts: dict[str, object]) -> str:
    """The source of a probe, with facts of this machine."""
    constants = "".join(f"{key} = {value!r}\n" for key, value in facts.items())
    return constants + _ATTEMPT + PROBES[name]
