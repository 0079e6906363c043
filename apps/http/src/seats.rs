//! How many clients may be connected at once.
//!
//! Each connection takes one of the files that the process may have open. If they took all of them,
//! no server could be started, and nobody could get in who might end that: so a part is for clients
//! of the network, a part for the space's own socket, and the rest for the hub itself.
//!
//! Who finds all seats taken is told so, and to come again.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tracing::warn;

use crate::problem::{Code, Problem};

/// How many clients are being turned away at once; others wait until it is their turn.
const TURNED_AWAY: usize = 16;
/// How long that may take for one of them.
const FAREWELL: Duration = Duration::from_secs(2);
/// How much is read of a request that is not answered.
const SKIPPED: u64 = 64 * 1024;
/// How much is read at most of one that was refused.
const MOST_SKIPPED: usize = 256 << 20;

/// How many connections each door may have at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seats {
    /// Those over the network.
    pub network: usize,
    /// Those over the space's own socket.
    pub local: usize,
}

/// The seats of a process that may have so many files open; `None` is without a limit.
pub fn seats(open_files: Option<u64>) -> Seats {
    let all = open_files.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    let most = |part: usize| part.clamp(1, Semaphore::MAX_PERMITS);
    Seats { network: most(all / 2), local: most(all / 4) }
}

/// A listener whose connections each take a seat.
#[derive(Debug)]
pub(crate) struct Seated<L> {
    inner: L,
    seats: Arc<Semaphore>,
    turning_away: Arc<Semaphore>,
    /// Whether it was said that all are taken.
    said: bool,
}

impl<L> Seated<L> {
    pub(crate) fn new(inner: L, seats: usize) -> Self {
        let (seats, turning_away) = (Semaphore::new(seats), Semaphore::new(TURNED_AWAY));
        Self { inner, seats: Arc::new(seats), turning_away: Arc::new(turning_away), said: false }
    }
}

impl<L: Listener> Listener for Seated<L> {
    type Io = Connection<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            // Neither is ever closed.
            let turn = Arc::clone(&self.turning_away).acquire_owned().await;
            let (io, address) = self.inner.accept().await;
            if let Ok(seat) = Arc::clone(&self.seats).try_acquire_owned() {
                self.said = false;
                return (Connection { io, shut: false, skipped: 0, farewell: None, _seat: seat }, address);
            }
            if !self.said {
                self.said = true;
                warn!("as many clients are connected as may be; others are turned away");
            }
            // Ends with a time limit, and there are only so many at once.
            tokio::spawn(async move {
                let _turn = turn;
                let _ = tokio::time::timeout(FAREWELL, turn_away(io)).await;
            });
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.inner.local_addr()
    }
}

/// Says that there is no room.
async fn turn_away(mut io: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let problem = Problem::new(Code::TooManyClients, "as many clients are connected as may be");
    let body = serde_json::to_string(&problem)?;
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n\
         content-length: {}\r\nretry-after: 1\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    io.write_all(answer.as_bytes()).await?;
    io.shutdown().await?;
    // What it sent must be read, or the system would take the answer back from it.
    tokio::io::copy(&mut io.take(SKIPPED), &mut tokio::io::sink()).await?;
    Ok(())
}

/// A connection that has a seat.
///
/// It is not closed while its client still sends what was refused already: the system would reset
/// it, and take the refusal back.
#[derive(Debug)]
pub(crate) struct Connection<I> {
    io: I,
    /// Whether nothing more is said.
    shut: bool,
    /// How much was read since that nobody wanted.
    skipped: usize,
    /// Until when more is read.
    farewell: Option<Pin<Box<Sleep>>>,
    _seat: OwnedSemaphorePermit,
}

impl<I: AsyncRead + Unpin> Connection<I> {
    /// Reads what is still sent. A client that sends nothing is not waited for.
    fn poll_farewell(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; 16 * 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            let read = Pin::new(&mut self.io).poll_read(context, &mut buffer);
            match (&read, buffer.filled().len()) {
                (Poll::Ready(Ok(())), some @ 1..) => self.skipped += some,
                (Poll::Ready(_), _) => return Poll::Ready(()),
                (Poll::Pending, _) if self.farewell.is_none() => return Poll::Ready(()),
                (Poll::Pending, _) => {}
            }
            let farewell = self.farewell.get_or_insert_with(|| Box::pin(tokio::time::sleep(FAREWELL)));
            if self.skipped > MOST_SKIPPED || farewell.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            if read.is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Connection<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Connection<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.shut {
            ready!(Pin::new(&mut self.io).poll_shutdown(context))?;
            self.shut = true;
        }
        self.poll_farewell(context).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection<I>(io: I) -> Connection<I> {
        let seat = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        Connection { io, shut: false, skipped: 0, farewell: None, _seat: seat }
    }

    #[tokio::test]
    async fn what_is_still_sent_is_read_before_a_connection_is_closed() {
        let (near, mut far) = tokio::io::duplex(1024);
        let mut connection = connection(near);
        let sending = tokio::spawn(async move { far.write_all(&vec![0; 1 << 20]).await });
        // So that some of it is there.
        tokio::task::yield_now().await;
        connection.shutdown().await.unwrap();
        assert_eq!(connection.skipped, 1 << 20);
        sending.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_nothing_is_not_waited_for_and_who_stops_not_for_long() {
        let (near, mut far) = tokio::io::duplex(1024);
        let mut quiet = connection(near);
        let began = tokio::time::Instant::now();
        quiet.shutdown().await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO);
        let (near, mut stops) = tokio::io::duplex(1024);
        stops.write_all(b"half").await.unwrap();
        connection(near).shutdown().await.unwrap();
        assert_eq!(began.elapsed(), FAREWELL);
        assert_eq!(far.write(b"late").await.unwrap(), 4, "it was still there");
    }

    #[test]
    fn a_part_is_left_for_the_hub() {
        assert_eq!(seats(Some(1024)), Seats { network: 512, local: 256 });
        assert_eq!(seats(Some(0)), Seats { network: 1, local: 1 });
        assert_eq!(seats(None).network, Semaphore::MAX_PERMITS);
    }
}
