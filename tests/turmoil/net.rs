//! The simulated network as the real stack takes it: hosts, connections of clients, and what a server accepts.
//!
//! Invariant: settings of connections are those of the command line; only what carries their bytes is another.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use ::turmoil::net::{TcpListener, TcpStream};
use batteuse_shared::limits::CALL_MS_MAX;
use batteuse_worker::agent::Dial;
use futures::Stream;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;
use tonic::transport::{Channel, Endpoint, Error};

/// Where every coordinator listens.
pub const PORT: u16 = 7_171;

/// Interval of HTTP/2 keepalive pings, and how long an answer may take.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// A host of the simulated network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    Coordinator(usize),
    Worker(usize),
    Client,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coordinator(n) => write!(f, "coordinator-{n}"),
            Self::Worker(n) => write!(f, "worker-{n}"),
            Self::Client => write!(f, "client"),
        }
    }
}

impl Host {
    /// Its address.
    pub fn url(self) -> String {
        format!("http://{self}:{PORT}")
    }
}

/// A connection to a coordinator.
pub async fn connect(to: Host) -> Result<Channel, Error> {
    let endpoint = Endpoint::from_shared(to.url())?
        .connect_timeout(Duration::from_millis(CALL_MS_MAX))
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true);
    let connector = tower::service_fn(move |_| async move {
        let stream = TcpStream::connect((to.to_string(), PORT)).await?;
        Ok::<_, io::Error>(TokioIo::new(stream))
    });
    endpoint.connect_with_connector(connector).await
}

/// Connections to both coordinators in turn; each one is counted.
pub fn dial(dialled: Arc<AtomicU64>) -> Dial {
    let turn = AtomicUsize::new(0);
    Arc::new(move || {
        dialled.fetch_add(1, Ordering::Relaxed);
        let to = Host::Coordinator(turn.fetch_add(1, Ordering::Relaxed) % 2);
        Box::pin(connect(to))
    })
}

/// The connections that a listener accepts.
pub fn incoming(listener: TcpListener) -> impl Stream<Item = io::Result<Accepted>> {
    futures::stream::unfold(listener, |listener| async move {
        let accepted = listener.accept().await.map(|(stream, _)| Accepted(stream));
        Some((accepted, listener))
    })
}

/// A connection as a server takes it.
pub struct Accepted(TcpStream);

impl Connected for Accepted {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
