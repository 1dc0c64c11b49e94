"""Programs that try to get through the walls of a sandbox; `self_test` runs them.

Each defines `attack`, which returns the names of what it reached. `ATTEMPT` and the names of a
`Bait` stand before them.
"""

from trainer.feedback.sandbox.types import Status

ATTEMPT = """
import ctypes, os, socket
reached = []
def attempt(name, function, *arguments):
    try:
        value = function(*arguments)
    except Exception:
        return
    if value != -1:  # of a system call
        reached.append(name)
"""

ATTACKS = {
    "no network": """
def attack():
    for address in (("127.0.0.1", PORT), ("192.0.2.1", 80)):
        attempt("%s:%d" % address, socket.create_connection, address, 0.5)
    attempt("a packet", socket.socket(type=2).sendto, b"x", ("192.0.2.1", 53))
    attempt("a name", socket.gethostbyname, "example.com")
    attempt("a socket in a file", socket.socket(socket.AF_UNIX).connect, FOLDER + "/socket")
    attempt("an abstract socket", socket.socket(socket.AF_UNIX).connect, "\\0" + TOKEN)
    for name in ("AF_NETLINK", "AF_PACKET", "AF_VSOCK"):
        attempt(name, socket.socket, getattr(socket, name), socket.SOCK_RAW)
        attempt(name, socket.socket, getattr(socket, name))
    return reached
""",
    "no file of the user": """
def attack():
    for path in (FOLDER + "/secret", "/proc/%d/root%s/secret" % (TRAINER, FOLDER)):
        attempt(path, open, path)
    os.symlink(FOLDER + "/secret", "/tmp/" + TOKEN + "-link")
    attempt("a link to a file", open, "/tmp/" + TOKEN + "-link")
    os.unlink("/tmp/" + TOKEN + "-link")
    return reached
""",
    "no variable of the user": """
def attack():
    reached.extend(name for name in os.environ if TOKEN in name)
    for pid in (1, os.getppid(), TRAINER):
        try:
            if TOKEN.encode() in open("/proc/%d/environ" % pid, "rb").read():
                reached.append("/proc/%d/environ" % pid)
        except OSError:
            pass
    return reached
""",
    "no other process": """
def attack():
    own = (os.getpid(), os.getppid(), 1)
    if os.path.isdir("/proc"):
        others = [name for name in os.listdir("/proc") if name.isdecimal() and int(name) not in own]
        reached.extend("process " + name for name in others[:3])
    if TRAINER not in own:
        attempt("a signal to the trainer", os.kill, TRAINER, 0)
    attempt("the memory of the trainer", open, "/proc/%d/mem" % TRAINER, "rb")
    return reached
""",
    "no descriptor of the sandbox": """
def attack():
    for number in range(4, 1024):
        attempt("descriptor %d" % number, os.fstat, number)
    return reached
""",
    "no namespaces or mounts": """
def attack():
    libc = ctypes.CDLL(None, use_errno=True)
    if os.fork() == 0:  # what works happens to a process that ends
        if libc.mount(b"none", b"/", b"no file system", 0, None) and ctypes.get_errno() == 19:
            reached.append("")  # only who may mount is told that there is no such file system
        attempt("", libc.unshare, 0x10020000)
        os._exit(len(reached))
    count = os.waitstatus_to_exitcode(os.wait()[1])
    return ["%d of 2 calls" % count] if count else []
""",
    "no privileges": """
def attack():
    libc = ctypes.CDLL(None)
    if libc.prctl(39, 0, 0, 0, 0) != 1:
        reached.append("no_new_privs is off")
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc.capget(header, data)
    if any(data):
        reached.append("capabilities")
    if os.getuid() == 0:
        reached.append("user 0")
    attempt("tracing", libc.ptrace, 0x4206, os.getppid(), 0, 0)  # which stops nobody
    return reached
""",
}
"""Name of a wall -> program that tries to get through it."""

WRITE = """
def attack():
    for place in PLACES:
        attempt(place, open, place + "/" + TOKEN, "w")
    return reached
"""
FIND_WRITTEN = """
def attack():
    return [place + "/" + TOKEN for place in PLACES if os.path.exists(place + "/" + TOKEN)]
"""
DAEMON = """
import signal, time
def attack():
    if os.fork() == 0:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        ctypes.CDLL(None).prctl(15, TOKEN.encode(), 0, 0, 0)
        if os.fork():
            os._exit(0)
        os.closerange(0, 64)
        time.sleep(30)
        os._exit(0)
    time.sleep(0.1)
    return []
"""
FIND_DAEMON = """
import glob
def attack():
    for name in glob.glob("/proc/[0-9]*/comm"):
        try:
            if open(name).read().strip() == TOKEN:
                reached.append(name)
        except OSError:
            pass
    return reached
"""
SLEEP = "import time\ndef attack(): time.sleep(30)"
FORK_BOMB = """
import signal, time
def attack():
    first, (read, write) = os.getpid(), os.pipe()
    for _ in range(8):  # up to 256 processes, should nothing bound them
        try:
            os.fork()
        except OSError:
            pass
    os.write(write, b"x")
    if os.getpid() != first:
        time.sleep(0.5)
        os._exit(0)
    time.sleep(0.3)
    return len(os.read(read, 1024))
"""
HOGS = (
    ("CPU time is limited", "def attack():\n    while True: pass", Status.TIMEOUT),
    (
        "memory is limited",
        "def attack():\n    rows = []\n    while True: rows.append(bytearray(1 << 20))",
        Status.MEMORY,
    ),
    (
        "output is limited",
        "def attack():\n    while True: print('x' * 65536)",
        Status.OUTPUT_LIMIT,
    ),
)
