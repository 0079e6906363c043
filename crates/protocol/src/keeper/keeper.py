"""The keeper: parent of every server process of one hub, and the end of all of them.

It starts programs for the hub, reports their exits, and sees to it that nothing a server
started outlives the server, and that no server outlives the hub. Requests and reports are
messages on descriptor 0, a SEQPACKET socket; their fields are separated by NUL, which no
argument, variable or path can hold. When the socket ends, however the hub died, everything
below the keeper is killed and the keeper leaves.

Invariants:

* One thread and no event loop: a child's parent-death signal follows the thread that forked it.
* Only the standard library, run with `-I -S`: no environment variable and no site package
  changes what it does.
* A leader is reaped only after its group was killed: until then its number means nobody else.
* Nothing a request says may end the keeper; a request that it cannot serve is refused.
* It sleeps in `poll` when nothing happens.

A process below a server is found in three ways, since the keeper is a subreaper and so every
orphan becomes its child: by the tree, by the session and by a mark in the environment, which
survive a double fork. One that shed all three belongs to a server that lived when it was born;
it is killed when the last such server has ended.
"""

import array
import errno
import os
import select
import signal
import socket
import sys
import time

try:
    import ctypes

    _prctl = ctypes.CDLL(None, use_errno=True).prctl
except Exception:  # A Python without ctypes still keeps what it started itself.
    _prctl = None
try:
    import resource
except ImportError:
    resource = None

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
MARK = b"DORMOUSE_KEEPER_MARK="
BIGGEST_MESSAGE = 1 << 20
# How long a report waits for a process that does not die, such as one stuck in the kernel.
STUBBORN_SECONDS = 5.0
# Signals whose being ignored would pass on to the child through exec.
RESTORED = [
    number
    for number in range(1, signal.NSIG)
    if number not in (signal.SIGKILL, signal.SIGSTOP) and number in signal.valid_signals()
]


GONE = object()


class Launch:
    """One server: its leader process, and what of it is still to be ended."""

    def __init__(self, number, pid, born):
        self.number = number
        self.pid = pid
        self.born = born  # in clock ticks since boot, as in /proc
        self.status = None  # the leader's wait status once it is reaped
        self.reaped_at = 0.0
        self.exec_pipe = None  # readable until exec succeeded or failed
        self.failure = None  # what a failed exec said


class Keeper:
    """The tables of the keeper and the loop over them."""

    def __init__(self, sock, name, open_files):
        self.sock = sock
        self.name = name  # of this keeper, in every mark that it sets
        self.open_files = open_files  # how many a server may have; None: as many as the hub
        self.me = os.getpid()
        self.launches = {}  # by number
        self.leaders = {}  # by pid, until reaped
        self.exec_pipes = {}  # by descriptor
        self.untouchable = set()  # (pid, born) that may not be signalled
        self.limits = None
        self.poll = select.poll()

    def run(self):
        self.prepare()
        while True:
            timeout = 50 if any(l.status is not None for l in self.launches.values()) else None
            for fd, _ in self.poll.poll(timeout):
                if fd == self.sock.fileno():
                    if not self.receive():
                        return
                elif fd == self.hub:
                    return
                elif fd == self.wake:
                    self.drain_wake()
                elif fd in self.exec_pipes:
                    self.exec_ended(fd)
            self.reap()
            self.settle()

    def prepare(self):
        os.setsid()
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: self.finish_and_leave())
        self.wake, writer = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        weak = []
        if _prctl is None or _prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            weak.append(b"subreaper")
        if resource is not None:
            self.limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (self.limits[1], self.limits[1]))
            except (OSError, ValueError):
                self.limits = None
            if self.limits is not None and self.open_files is not None:
                # The hub has raised its own limit; servers get the one that it was given.
                self.limits = (self.open_files, self.limits[1])
        # The hub itself is watched too: a copy of its end of the socket, inherited by some
        # other child of an embedding program, must not keep the servers alive.
        self.hub = -1
        try:
            self.hub = os.pidfd_open(os.getppid())
            self.poll.register(self.hub, select.POLLIN)
        except (AttributeError, OSError):
            weak.append(b"pidfd")
        self.poll.register(self.sock.fileno(), select.POLLIN)
        self.poll.register(self.wake, select.POLLIN)
        self.send(b"hello", b",".join(weak))

    # Messages.

    def send(self, *fields, fds=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self.sock.sendmsg([b"\0".join(fields)], rights)
        except OSError:
            pass  # The hub is gone; the next poll says so.

    def receive(self):
        """Serves one request. False when the hub is gone."""
        room = socket.CMSG_SPACE(8 * array.array("i").itemsize)
        try:
            data, rights, _, _ = self.sock.recvmsg(BIGGEST_MESSAGE, room, socket.MSG_CMSG_CLOEXEC)
        except InterruptedError:
            return True
        except OSError:
            return False
        fds = []
        for level, kind, body in rights:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                whole = len(body) - len(body) % array.array("i").itemsize
                fds.extend(array.array("i", body[:whole]))
        if not data:
            return False
        try:
            self.serve(data.split(b"\0"), fds)
        except Exception as error:  # Whatever it was, the other servers go on.
            self.send(b"bad", repr(error).encode())
        finally:
            for fd in fds:
                os.close(fd)
        return True

    def serve(self, fields, fds):
        verb, number = fields[0], fields[1]
        if verb == b"launch":
            self.launch(number, fields[2:], fds)
        elif verb == b"signal":
            launch = self.launches.get(number)
            if launch is not None and launch.pid in self.leaders:
                os.killpg(launch.pid, int(fields[2]))
        elif verb == b"kill":
            launch = self.launches.get(number)
            if launch is not None:
                self.kill(launch)
        else:
            raise ValueError("unknown request")

    # Starting.

    def launch(self, number, fields, fds):
        cwd, program, count = fields[0], fields[1], int(fields[2])
        arguments = [program] + fields[3 : 3 + count]
        environment = dict(pair.split(b"=", 1) for pair in fields[3 + count :])
        environment[MARK[:-1]] = b"%s.%s" % (self.name, number)
        if len(fds) != 3:
            self.send(b"failed", number, str(errno.EMFILE).encode(), b"pipes")
            return
        try:
            told, tell = os.pipe()
        except OSError as error:
            self.send(b"failed", number, str(error.errno).encode(), b"pipes")
            return
        try:
            pid = os.fork()
        except OSError as error:
            os.close(told)
            os.close(tell)
            self.send(b"failed", number, str(error.errno).encode(), b"fork")
            return
        if pid == 0:
            self.become(fds, tell, cwd, program, arguments, environment)
        os.close(tell)
        seen = stat(pid)
        launch = Launch(number, pid, seen[2] if seen else 0)
        launch.exec_pipe = told
        self.launches[number] = launch
        self.leaders[pid] = launch
        self.exec_pipes[told] = launch
        self.poll.register(told, select.POLLIN)

    def become(self, fds, tell, cwd, program, arguments, environment):
        """In the child: becomes the program. Never returns."""
        step = b"session"
        try:
            os.setsid()
            if _prctl is not None:
                _prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
                if os.getppid() != self.me:
                    os._exit(127)
            signal.set_wakeup_fd(-1)
            for known in RESTORED:
                if signal.getsignal(known) is not signal.SIG_DFL:
                    signal.signal(known, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            if self.limits is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, self.limits)
            for target, fd in enumerate(fds):
                os.dup2(fd, target)
            step = b"cwd"
            os.chdir(cwd)
            step = b"exec"
            os.execve(program, arguments, environment)
        except OSError as error:
            os.write(tell, b"%d\0%s" % (error.errno or 0, step))
        except BaseException as error:
            os.write(tell, b"0\0" + repr(error).encode()[:200])
        finally:
            os._exit(127)

    def exec_ended(self, fd):
        """The child closed its end: by exec, or after a failure that it wrote."""
        launch = self.exec_pipes.pop(fd)
        self.poll.unregister(fd)
        said = os.read(fd, 4096)
        os.close(fd)
        launch.exec_pipe = None
        if said:
            launch.failure = said
            return
        handle = -1
        try:
            # Not reaped yet, since only `reap` does it: the number still means our child.
            handle = os.pidfd_open(launch.pid)
        except (AttributeError, OSError):
            pass
        fds = [handle] if handle >= 0 else []
        self.send(b"started", launch.number, str(launch.pid).encode(), fds=fds)
        if handle >= 0:
            os.close(handle)

    # Ending.

    def drain_wake(self):
        try:
            while len(os.read(self.wake, 4096)) == 4096:
                pass
        except OSError:
            pass

    def reap(self):
        """Collects every dead child; of a dead leader the group is killed first."""
        while True:
            try:
                seen = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if seen is None:
                return
            launch = self.leaders.get(seen.si_pid)
            if launch is not None:
                if launch.exec_pipe is not None:
                    # What the child wrote or did not write before it died is in the pipe.
                    self.exec_ended(launch.exec_pipe)
                try:
                    os.killpg(launch.pid, signal.SIGKILL)
                except OSError:
                    pass
            _, status = os.waitpid(seen.si_pid, 0)
            if launch is not None:
                del self.leaders[launch.pid]
                launch.status = status
                launch.reaped_at = time.monotonic()

    def settle(self):
        """Reports each server whose leader is dead, once nothing of it is left."""
        for launch in [l for l in self.launches.values() if l.status is not None]:
            left = self.end_strays(launch)
            if left and time.monotonic() - launch.reaped_at < STUBBORN_SECONDS:
                continue
            del self.launches[launch.number]
            if launch.failure is not None:
                self.send(b"failed", launch.number, launch.failure)
            else:
                self.send(b"exited", launch.number, str(launch.status).encode())

    def kill(self, launch):
        if launch.pid in self.leaders:
            seen = stat(launch.pid)
            if seen is not None:
                self.kill_trees([(launch.pid, seen)])
        self.end_strays(launch)

    def end_strays(self, launch):
        """Kills what is left of a server beside its leader; returns how many there were,
        dead ones that are not reaped yet included."""
        roots, unreaped = [], 0
        for pid in children(self.me):
            if pid in self.leaders:
                continue
            seen = stat(pid)
            if seen is None or (pid, seen[2]) in self.untouchable:
                continue
            if seen[0] in b"ZX":
                # Whose it was nobody can say any more; it is reaped before the next look.
                unreaped += 1
                continue
            owner = self.owner(pid, seen)
            if owner in (launch, GONE) or (owner is None and not self.may_own(launch, seen)):
                roots.append((pid, seen))
        return self.kill_trees(roots) + unreaped

    def owner(self, pid, seen):
        """The launch that a stray shows to be its own: None if it shows none, GONE if it ended."""
        for launch in self.launches.values():
            if launch.pid == seen[1]:
                return launch
        start = MARK + self.name + b"."
        try:
            with open("/proc/%d/environ" % pid, "rb") as file:
                for pair in file.read().split(b"\0"):
                    if pair.startswith(start):
                        return self.launches.get(pair[len(start) :], GONE)
        except OSError:
            pass
        return None

    def may_own(self, ended, seen):
        """Whether some other server that lives was there when the stray was born."""
        return any(
            launch is not ended and launch.status is None and launch.born <= seen[2]
            for launch in self.launches.values()
        )

    def kill_trees(self, roots):
        """Stops the trees from the top, so that none can fork away, then kills them."""
        found = []
        queue = list(roots)
        known = set(pid for pid, _ in queue)
        while queue:
            pid, seen = queue.pop()
            if self.signal(pid, seen[2], signal.SIGSTOP):
                found.append((pid, seen[2]))
            for child in children(pid):
                below = stat(child)
                if child not in known and below is not None and below[0] not in b"ZX":
                    known.add(child)
                    queue.append((child, below))
        for pid, born in found:
            self.signal(pid, born, signal.SIGKILL)
        return len(found)

    def signal(self, pid, born, number):
        """Signals that very process, not a later one of its number."""
        if (pid, born) in self.untouchable:
            return False
        handle = -1
        try:
            if hasattr(os, "pidfd_open") and hasattr(signal, "pidfd_send_signal"):
                handle = os.pidfd_open(pid)
            now = stat(pid)
            if now is None or now[2] != born:
                return False
            if handle >= 0:
                signal.pidfd_send_signal(handle, number)
            else:
                os.kill(pid, number)
            return True
        except PermissionError:
            self.untouchable.add((pid, born))
            return False
        except OSError:
            return False
        finally:
            if handle >= 0:
                os.close(handle)

    def finish(self):
        """Kills everything below the keeper, until nothing is left."""
        waiter = select.poll()
        waiter.register(self.wake, select.POLLIN)
        while True:
            self.reap()
            roots = []
            for pid in children(self.me):
                seen = stat(pid)
                if seen is not None and seen[0] not in b"ZX":
                    roots.append((pid, seen))
            if not self.kill_trees(roots):
                return
            waiter.poll(50)
            self.drain_wake()

    def finish_and_leave(self):
        self.finish()
        os._exit(0)


def stat(pid):
    """(state, session, birth) of a process; None when there is none."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return fields[0], int(fields[3]), int(fields[19])
    except (OSError, IndexError, ValueError):
        return None


def children(pid):
    """The children of a process, whichever of its threads made them."""
    found = []
    try:
        for thread in os.listdir("/proc/%d/task" % pid):
            try:
                with open("/proc/%d/task/%s/children" % (pid, thread), "rb") as file:
                    found.extend(int(child) for child in file.read().split())
            except FileNotFoundError:
                if not os.path.exists("/proc/self/task/%d/children" % os.getpid()):
                    return children_by_scan(pid)
    except OSError:
        pass
    return found


def children_by_scan(pid):
    """The same on a kernel without `children` files: by asking every process for its parent."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name, "rb") as file:
                    if int(file.read().rpartition(b")")[2].split()[1]) == pid:
                        found.append(int(name))
            except (OSError, IndexError, ValueError):
                pass
    return found


def where(error):
    """The innermost line of this file that an error came through."""
    trace, line = error.__traceback__, 0
    while trace is not None:
        line, trace = trace.tb_lineno, trace.tb_next
    return "line %d" % line


def main():
    # Descriptor 0 becomes the void: children must not find the socket there.
    sock = socket.socket(fileno=os.dup(0))
    void = os.open("/dev/null", os.O_RDWR)
    os.dup2(void, 0)
    # What the hub inherited or left open must not reach the servers.
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != sock.fileno():
            try:
                os.close(int(name))
            except OSError:
                pass  # The one that listed them.
    os.chdir("/")
    open_files = int(sys.argv[3]) if len(sys.argv) > 3 else None
    keeper = Keeper(sock, os.fsencode(sys.argv[1]), open_files)
    try:
        keeper.run()
    except Exception as error:
        # Before the end, which may take its time: the hub reads the last line.
        sys.stderr.write("%s: %r\n" % (where(error), error))
    finally:
        keeper.finish_and_leave()


main()
