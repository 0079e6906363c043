//! The socket to one keeper process, and the table of what it runs.

use std::collections::HashMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, Interest};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};

use super::message::{self, Number, Report};
use super::{KeeperError, lost};
use crate::launch::{Control, Exit, LaunchError};
use crate::program::{Program, allowed_env};

/// The keeper's program.
const SOURCE: &str = include_str!("keeper.py");
/// What runs it: its source is the first message. So no process list shows it, no file holds it.
const BOOTSTRAP: &str = "import socket as s;c=s.socket(fileno=0);\
     k=c.recv(1<<20);c.detach();exec(compile(k,'keeper.py','exec'))";
/// How long a keeper may take to end what is left, before it is killed itself.
const LEAVING: Duration = Duration::from_secs(10);

/// A handle on one keeper process. Its tasks end when the last handle is dropped.
#[derive(Debug)]
pub(super) struct Link {
    pid: u32,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    table: Arc<Mutex<Table>>,
    /// The most bytes that one message may have.
    limit: usize,
    ended: watch::Receiver<bool>,
}

/// One message to the keeper, with the descriptors that travel beside it.
#[derive(Debug)]
enum Outgoing {
    Message { bytes: Vec<u8>, descriptors: Vec<OwnedFd> },
    Leave,
}

/// What the keeper runs, and what is known of the keeper.
#[derive(Debug, Default)]
pub(super) struct Table {
    next: Number,
    launches: HashMap<Number, Entry>,
    weak: Vec<String>,
    last_words: Option<String>,
}

/// One launch.
#[derive(Debug)]
pub(super) struct Entry {
    starting: Option<oneshot::Sender<Result<u32, Refusal>>>,
    exit: watch::Sender<Option<Exit>>,
    pub(super) pid: Option<u32>,
    pub(super) pidfd: Option<OwnedFd>,
}

/// Why a launch came to nothing.
#[derive(Debug)]
pub(super) enum Refusal {
    Message(LaunchError),
    Keeper(KeeperError),
    Failed { errno: i32, step: String },
}

/// A process that the keeper has started.
pub(super) struct Started {
    pub(super) pid: u32,
    pub(super) exit: watch::Receiver<Option<Exit>>,
    pub(super) control: Leash,
}

impl Link {
    pub(super) fn start(python: &Path) -> Result<Self, KeeperError> {
        let spawn = |source| KeeperError::Spawn { python: python.to_owned(), source };
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(|errno| spawn(errno.into()))?;
        rustix::io::ioctl_fionbio(&ours, true).map_err(|errno| spawn(errno.into()))?;
        // The kernel may grant less; what it granted is the limit.
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(&ours, 1 << 20);
        let granted = rustix::net::sockopt::socket_send_buffer_size(&ours).unwrap_or(64 << 10);
        let name = name();
        let mut child = Command::new(python)
            .args(["-I", "-S", "-c", BOOTSTRAP, &name, "dormouse-keeper"])
            .args(crate::open_files::given().map(|given| given.to_string()))
            .env_clear()
            .envs(allowed_env())
            .current_dir("/")
            .stdin(theirs)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(spawn)?;
        let socket = on_reactor(ours, Interest::READABLE | Interest::WRITABLE).map_err(spawn)?;
        let pid = child.id().unwrap_or_default();
        #[expect(
            clippy::disallowed_methods,
            reason = "a launch waits for its answer, and an end is asked for a few times at most"
        )]
        let (outgoing, requests) = mpsc::unbounded_channel();
        let table = Arc::new(Mutex::new(Table::default()));
        let (ending, ended) = watch::channel(false);
        let attended = Arc::clone(&table);
        // Owned by the link: it ends when `outgoing` is dropped or the keeper ends.
        tokio::spawn(async move {
            let orderly = attend(&socket, requests, &attended).await;
            drop(socket);
            bury(&mut child, &attended, &name, orderly).await;
            ending.send_replace(true);
        });
        let link = Self { pid, outgoing, table, limit: granted.saturating_sub(4096), ended };
        link.send(SOURCE.as_bytes().to_vec(), Vec::new());
        Ok(link)
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn has_ended(&self) -> bool {
        self.outgoing.is_closed() || lock(&self.table).last_words.is_some()
    }

    pub(super) fn weaknesses(&self) -> Vec<String> {
        lock(&self.table).weak.clone()
    }

    /// Has a program started. When dropped midway, what starts is killed.
    pub(super) async fn launch(
        &self,
        found: &Path,
        program: &Program,
        descriptors: [OwnedFd; 3],
    ) -> Result<Started, Refusal> {
        let (starting, answer) = oneshot::channel();
        let (exit, seen) = watch::channel(None);
        let number = {
            let mut table = lock(&self.table);
            table.next += 1;
            table.next
        };
        let bytes = message::launch(number, found, program).map_err(Refusal::Message)?;
        if bytes.len() > self.limit {
            let (bytes, limit) = (bytes.len(), self.limit);
            return Err(Refusal::Message(LaunchError::TooLarge { bytes, limit }));
        }
        {
            let mut table = lock(&self.table);
            if table.last_words.is_some() {
                return Err(Refusal::Keeper(table.ended()));
            }
            let entry = Entry { starting: Some(starting), exit, pid: None, pidfd: None };
            table.launches.insert(number, entry);
        }
        self.send(bytes, descriptors.into());
        match answer.await {
            Ok(Ok(pid)) => {
                Ok(Started { pid, exit: seen, control: Leash { number, outgoing: self.outgoing.clone() } })
            }
            Ok(Err(refusal)) => Err(refusal),
            Err(_) => Err(Refusal::Keeper(lock(&self.table).ended())),
        }
    }

    /// Ends the keeper and all that it runs; returns when they are gone.
    pub(super) async fn shutdown(&self) {
        let _ = self.outgoing.send(Outgoing::Leave);
        let mut ended = self.ended.clone();
        let _ = ended.wait_for(|ended| *ended).await;
    }

    fn send(&self, bytes: Vec<u8>, descriptors: Vec<OwnedFd>) {
        // A closed channel means that the keeper has ended: the table tells it to who asks.
        let _ = self.outgoing.send(Outgoing::Message { bytes, descriptors });
    }
}

/// Gives a descriptor to the reactor.
#[expect(deprecated, reason = "its fault is with types that lose their descriptor; `OwnedFd` cannot")]
pub(super) fn on_reactor(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, interest)
}

/// A name that no other keeper of this machine has, for the marks of its processes.
fn name() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}-{:x}", std::process::id(), now.as_nanos())
}

/// How a process is ended: by asking the keeper.
#[derive(Debug)]
pub(super) struct Leash {
    number: Number,
    outgoing: mpsc::UnboundedSender<Outgoing>,
}

impl Leash {
    fn send(&self, bytes: Vec<u8>) {
        // When the keeper has ended, its processes were killed already.
        let _ = self.outgoing.send(Outgoing::Message { bytes, descriptors: Vec::new() });
    }
}

impl Control for Leash {
    fn terminate(&self) {
        self.send(message::terminate(self.number));
    }

    fn kill(&self) {
        self.send(message::kill(self.number));
    }
}

impl Table {
    fn ended(&self) -> KeeperError {
        match &self.last_words {
            Some(words) => KeeperError::Ended { last_words: words.clone() },
            None => KeeperError::Ended { last_words: "it closed its socket".to_owned() },
        }
    }

    /// Takes a report in. Returns a launch that nobody waits for, to be killed.
    fn take(&mut self, report: Report, pidfd: Option<OwnedFd>) -> Option<Number> {
        match report {
            Report::Hello { weak } => {
                self.weak = weak;
                None
            }
            Report::Started { number, pid } => {
                let entry = self.launches.get_mut(&number)?;
                entry.pid = Some(pid);
                entry.pidfd = pidfd;
                let waits = entry.starting.take()?;
                waits.send(Ok(pid)).err().map(|_| number)
            }
            Report::Failed { number, errno, step } => {
                let entry = self.launches.remove(&number)?;
                if let Some(waits) = entry.starting {
                    let _ = waits.send(Err(Refusal::Failed { errno, step }));
                }
                None
            }
            Report::Exited { number, exit } => {
                let entry = self.launches.remove(&number)?;
                entry.exit.send_replace(Some(exit));
                None
            }
            Report::Bad { what } => {
                tracing::warn!(what, "the keeper could not serve a request");
                None
            }
        }
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Carries messages until either side leaves. Returns whether it was ours.
async fn attend(
    socket: &AsyncFd<OwnedFd>,
    mut requests: mpsc::UnboundedReceiver<Outgoing>,
    table: &Mutex<Table>,
) -> bool {
    #[expect(clippy::disallowed_methods, reason = "one number at most for each launch")]
    let (unwanted, mut kills) = mpsc::unbounded_channel();
    let write = async {
        loop {
            let next = tokio::select! {
                next = requests.recv() => next,
                Some(number) = kills.recv() => Some(Outgoing::Message {
                    bytes: message::kill(number),
                    descriptors: Vec::new(),
                }),
            };
            let Some(Outgoing::Message { bytes, descriptors }) = next else { return true };
            if let Err(error) = send(socket, &bytes, &descriptors).await {
                tracing::debug!(%error, "the keeper takes no message");
                return false;
            }
        }
    };
    let read = async {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(Some((length, pidfd))) = receive(socket, &mut buffer).await {
            let Some(report) = Report::read(&buffer[..length]) else { continue };
            if let Some(number) = lock(table).take(report, pidfd) {
                let _ = unwanted.send(number);
            }
        }
        false
    };
    // Both at once, since each side may wait for the other to read.
    tokio::select! {
        orderly = write => orderly,
        orderly = read => orderly,
    }
}

/// After the socket ended: waits for the keeper, and ends what a dead one left behind.
async fn bury(child: &mut Child, table: &Mutex<Table>, name: &str, orderly: bool) {
    if tokio::time::timeout(LEAVING, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
    let mut words = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        // Its children have their own stderr, but a stranger might hold this one.
        let read = stderr.take(64 << 10);
        let _ = tokio::time::timeout(Duration::from_secs(1), { read }.read_to_end(&mut words)).await;
    }
    let words = String::from_utf8_lossy(&words);
    let last_words = words.lines().last().unwrap_or("without a word").to_owned();
    if !orderly {
        tracing::error!(last_words, "the keeper has ended; its processes are killed");
    }
    let left = {
        let mut table = lock(table);
        table.last_words = Some(last_words);
        std::mem::take(&mut table.launches)
    };
    if !orderly {
        lost::end_all(left.values(), name).await;
    }
    for entry in left.into_values() {
        entry.exit.send_replace(Some(Exit::Lost));
    }
}

async fn send(socket: &AsyncFd<OwnedFd>, bytes: &[u8], descriptors: &[OwnedFd]) -> io::Result<()> {
    let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
    loop {
        let mut ready = socket.writable().await?;
        let sent = ready.try_io(|socket| {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !borrowed.is_empty() {
                control.push(SendAncillaryMessage::ScmRights(&borrowed));
            }
            // NOSIGNAL: an embedding program may not ignore SIGPIPE.
            let flags = SendFlags::NOSIGNAL;
            rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags).map_err(io::Error::from)
        });
        match sent {
            Ok(sent) => return sent.map(|_| ()),
            Err(_would_block) => {}
        }
    }
}

/// Receives one message and the descriptor beside it; `None` at the end. Cancel-safe.
async fn receive(
    socket: &AsyncFd<OwnedFd>,
    buffer: &mut [u8],
) -> io::Result<Option<(usize, Option<OwnedFd>)>> {
    loop {
        let mut ready = socket.readable().await?;
        let received = ready.try_io(|socket| {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut into = [IoSliceMut::new(buffer)];
            let flags = RecvFlags::CMSG_CLOEXEC;
            let length = rustix::net::recvmsg(socket, &mut into, &mut control, flags)?.bytes;
            let pidfd = control.drain().find_map(|message| match message {
                RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
                _ => None,
            });
            Ok((length, pidfd))
        });
        match received {
            Ok(Ok((0, _))) => return Ok(None),
            Ok(received) => return received.map(Some),
            Err(_would_block) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn pipes() -> [OwnedFd; 3] {
        let (reader, writer) = std::io::pipe().unwrap();
        [reader.into(), writer.try_clone().unwrap().into(), writer.into()]
    }

    #[tokio::test]
    async fn a_keeper_survives_requests_that_it_cannot_serve() {
        let python = which::which("python3").unwrap();
        let link = Link::start(&python).unwrap();
        for bad in [
            &b"nonsense"[..],
            b"\0\0\0",
            b"kill",
            b"kill\x00999",
            b"signal\x00999\x0015",
            b"signal\0x\0y",
            b"launch\x00900",
            b"launch\x00901\0/\0/bin/true\0many",
            b"launch\x00902\0/\0/bin/true\x000\0no-equals-sign",
            b"launch\x00903\0/\0/bin/true\x000",
        ] {
            link.send(bad.to_vec(), Vec::new());
            link.send(bad.to_vec(), pipes().into());
        }
        let program =
            Program { program: "/bin/true".into(), args: Vec::new(), env: BTreeMap::new(), cwd: "/".into() };
        let started = link.launch(Path::new("/bin/true"), &program, pipes()).await.unwrap();
        let mut exit = started.exit;
        let seen = exit.wait_for(Option::is_some).await.unwrap();
        assert_eq!(*seen, Some(Exit::Code(0)));
        drop(seen);
        link.shutdown().await;
    }
}
