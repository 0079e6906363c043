//! The seam for servers that are reached in a way of the program's own: in the same process,
//! through a tunnel, over a radio.
//!
//! A [`Transport`] gives a [`Channel`], which carries what a server's standard streams would:
//! one JSON message a line, in both directions. What it does not need to care about: the
//! handshake, who waits for which answer, deadlines, probes, reconnection.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use dormouse_types::Env;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy};
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::launch::{Control, Exit, ExitHandle};

/// Something that reaches servers.
#[async_trait]
pub trait Transport: Send + Sync + fmt::Debug {
    /// Opens a conversation with the server at an address. Called once for each start; when it is
    /// dropped midway, nothing of it shall stay.
    ///
    /// # Errors
    /// Whatever keeps it from the server. Its message is shown as the server's state, so it shall
    /// hold no secret.
    async fn open(&self, address: &Address) -> Result<Channel, TransportError>;
}

/// Why a server was not reached, in the words of its transport.
pub type TransportError = Box<dyn std::error::Error + Send + Sync>;

/// Where a server is, as its entry says, with the variables put in.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// The URL, whose scheme is the transport's.
    pub url: String,
    /// The entry's headers, for what the transport takes them for.
    pub headers: Env,
}

/// Without what may be secret: of the URL only its scheme.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.url.split_once("://").map_or("", |(scheme, _)| scheme);
        f.debug_struct("Address")
            .field("scheme", &scheme)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

/// Both directions of a conversation. The server's side ends it by closing what it writes to.
pub struct Channel {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    writer: Box<dyn AsyncWrite + Send + Unpin>,
}

impl Channel {
    /// Of a stream with both directions, such as one end of [`tokio::io::duplex`] or a socket.
    pub fn new(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self::of(reader, writer)
    }

    /// Of one stream that brings what the server says, and one that takes what it is told.
    pub fn of(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        Self { reader: Box::new(reader), writer: Box::new(writer) }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").finish_non_exhaustive()
    }
}

/// A channel behind two pipes, so that it has all that a process's streams have: what was sent
/// is known to the byte, and a server that does not read costs memory only for calls that run.
pub(crate) struct Carried {
    pub(crate) stdin: pipe::Sender,
    pub(crate) stdout: pipe::Receiver,
    pub(crate) exit: ExitHandle,
}

impl Channel {
    /// Carries it until both directions are closed, or the handle ends it.
    pub(crate) fn carry(self) -> std::io::Result<Carried> {
        let (stdin, told) = pipe::pipe()?;
        let (said, stdout) = pipe::pipe()?;
        let cut = Arc::new(Cut(CancellationToken::new()));
        let (ended, seen) = watch::channel(None);
        let exit = ExitHandle::new(seen, Arc::clone(&cut) as Arc<dyn Control>);
        // Ends with the channel.
        tokio::spawn(async move {
            tokio::select! {
                () = cut.0.cancelled() => {}
                () = self.run(told, said) => {}
            }
            ended.send_replace(Some(Exit::Closed));
        });
        Ok(Carried { stdin, stdout, exit })
    }

    async fn run(self, mut told: pipe::Receiver, mut said: pipe::Sender) {
        let Self { mut reader, mut writer } = self;
        let to_server = async {
            copy(&mut told, &mut writer).await?;
            writer.shutdown().await
        };
        let from_server = async move {
            copy(&mut reader, &mut said).await?;
            // The end of what it says is seen by the connection, which then closes the other way.
            drop(said);
            Ok(())
        };
        if let Err(error) = tokio::try_join!(to_server, from_server) {
            tracing::debug!(%error, "a conversation broke off");
        }
    }
}

/// There is no process to ask: both end the conversation.
#[derive(Debug)]
struct Cut(CancellationToken);

impl Control for Cut {
    fn terminate(&self) {
        self.0.cancel();
    }

    fn kill(&self) {
        self.0.cancel();
    }
}
