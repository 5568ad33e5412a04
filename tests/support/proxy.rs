//! A proxy that does to connections what networks do: it delays, stalls, slows, loses, half closes and resets them.
//!
//! Invariant: what is not struck passes as it is and in order; every stroke is counted. A fault is in force from when it is set until
//! another one is or it is healed, for connections that there are and for those that come; bytes are counted anew with each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Most bytes that pass at once.
const PIECE_BYTES: usize = 4 << 10;

/// From whom bytes go to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From who has connected to the server.
    Up,
    /// Back.
    Down,
}

/// What is done to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Each piece waits so long.
    Delay(Duration),
    /// So many bytes a second pass each way of each connection.
    Rate(u64),
    /// Connections are accepted, and nothing passes either way until that is over: then all of it does.
    Stall,
    /// After so many bytes one way, what goes that way is lost and nobody is told.
    Lose(Way, u64),
    /// After so many bytes one way, that way is closed in order; the other goes on.
    HalfClose(Way, u64),
    /// After so many bytes one way, both ends find the connection reset.
    Reset(Way, u64),
}

#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    /// Which it is, so that bytes are counted anew.
    number: u64,
    fault: Option<Fault>,
}

struct Shared {
    weather: watch::Sender<Weather>,
    struck: AtomicU64,
}

/// A running proxy.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// A proxy before `server` that does no harm yet. It ends with the test's process.
    pub fn before(server: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { weather: watch::Sender::default(), struck: AtomicU64::new(0) });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let of_thread = shared.clone();
        std::thread::spawn(move || {
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    let (client, _) = listener.accept().await.unwrap();
                    tokio::spawn(connection(client, server, of_thread.clone()));
                }
            })
        });
        Self { address, shared }
    }

    /// As [`Proxy::before`], of a coordinator that is reached at `url`.
    pub fn before_url(url: &str) -> Self {
        Self::before(url.trim_start_matches("http://").parse().unwrap())
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Where it listens, as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on this is done, and strokes are counted from 0.
    pub fn fault(&self, fault: Fault) {
        self.set(Some(fault));
    }

    /// From now on all passes.
    pub fn heal(&self) {
        self.set(None);
    }

    fn set(&self, fault: Option<Fault>) {
        self.shared.weather.send_modify(|weather| {
            if fault.is_some() {
                self.shared.struck.store(0, Ordering::Relaxed);
            }
            *weather = Weather { number: weather.number + 1, fault };
        });
    }

    /// Pieces held, slowed or lost, and connections closed or reset, since the last fault was set.
    pub fn struck(&self) -> u64 {
        self.shared.struck.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn strike(&self) {
        self.struck.fetch_add(1, Ordering::Relaxed);
    }
}

async fn connection(mut client: TcpStream, server: SocketAddr, shared: Arc<Shared>) {
    let Ok(mut server) = TcpStream::connect(server).await else {
        // As a machine does where nobody listens.
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let reset = {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let up = pump(from_client, to_server, Way::Up, &shared);
        let down = pump(from_server, to_client, Way::Down, &shared);
        tokio::pin!(up, down);
        // One way may end in order before the other.
        tokio::select! {
            reset = &mut up => reset || down.await,
            reset = &mut down => reset || up.await,
        }
    };
    if reset {
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

/// Passes on what goes one way until it ends; tells whether the connection is to be reset.
async fn pump(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, way: Way, shared: &Shared) -> bool {
    let mut weather = shared.weather.subscribe();
    let (mut bytes, mut passed, mut number) = (vec![0; PIECE_BYTES], 0, 0);
    loop {
        let Ok(n) = from.read(&mut bytes).await else { return true };
        let now = loop {
            let now = *weather.borrow_and_update();
            if now.fault != Some(Fault::Stall) {
                break now;
            }
            shared.strike();
            if weather.changed().await.is_err() {
                return true;
            }
        };
        if now.number != number {
            (number, passed) = (now.number, 0);
        }
        passed += n as u64;
        match now.fault {
            _ if n == 0 => {
                let _ = to.shutdown().await;
                return false;
            }
            Some(Fault::Delay(wait)) => {
                shared.strike();
                tokio::time::sleep(wait).await;
            }
            Some(Fault::Rate(bytes_per_second)) => {
                shared.strike();
                tokio::time::sleep(Duration::from_secs_f64(n as f64 / bytes_per_second as f64)).await;
            }
            Some(Fault::Lose(lost, after)) if lost == way && passed > after => {
                shared.strike();
                continue;
            }
            Some(Fault::HalfClose(closed, after)) if closed == way && passed > after => {
                shared.strike();
                let _ = to.shutdown().await;
                return false;
            }
            Some(Fault::Reset(reset, after)) if reset == way && passed > after => {
                shared.strike();
                return true;
            }
            _ => {}
        }
        if to.write_all(&bytes[..n]).await.is_err() {
            return true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{Shutdown, TcpStream};
    use std::time::Instant;

    use super::*;
    use crate::support::binary::until;

    /// Two ends of a connection through a proxy that does no harm yet.
    fn connected() -> (Proxy, TcpStream, TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::before(listener.local_addr().unwrap());
        let mut client = TcpStream::connect(proxy.address).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        for end in [&client, &server] {
            end.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        }
        pass(&mut client, &mut server, b"up");
        pass(&mut server, &mut client, b"down");
        (proxy, client, server)
    }

    fn pass(from: &mut TcpStream, to: &mut TcpStream, text: &[u8]) {
        from.write_all(text).unwrap();
        let mut come = vec![0; text.len()];
        to.read_exact(&mut come).unwrap();
        assert_eq!(come, text);
    }

    #[test]
    fn what_is_delayed_or_slowed_comes_later() {
        let (proxy, mut client, mut server) = connected();
        for fault in [Fault::Delay(Duration::from_millis(200)), Fault::Rate(50)] {
            proxy.fault(fault);
            let began = Instant::now();
            pass(&mut client, &mut server, b"ten bytes.");
            assert!(began.elapsed() >= Duration::from_millis(199), "{fault:?}: {:?}", began.elapsed());
            assert!(proxy.struck() >= 1);
        }
    }

    #[test]
    fn what_is_stalled_comes_when_that_is_over() {
        let (proxy, mut client, mut server) = connected();
        proxy.fault(Fault::Stall);
        client.write_all(b"held").unwrap();
        until("it to be held", || (proxy.struck() == 1).then_some(()));
        server.set_nonblocking(true).unwrap();
        assert_eq!(server.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::WouldBlock);
        server.set_nonblocking(false).unwrap();
        proxy.heal();
        let mut come = [0; 4];
        server.read_exact(&mut come).unwrap();
        assert_eq!(&come, b"held");
    }

    #[test]
    fn what_is_lost_one_way_is_lost_without_a_word() {
        let (proxy, mut client, mut server) = connected();
        proxy.fault(Fault::Lose(Way::Up, 4));
        pass(&mut client, &mut server, b"kept");
        client.write_all(b"lost").unwrap();
        until("it to be lost", || (proxy.struck() == 1).then_some(()));
        pass(&mut server, &mut client, b"the other way");
        proxy.heal();
        pass(&mut client, &mut server, b"afterwards");
    }

    #[test]
    fn what_is_half_closed_goes_on_the_other_way() {
        let (proxy, mut client, mut server) = connected();
        proxy.fault(Fault::HalfClose(Way::Up, 0));
        client.write_all(b"nobody hears it").unwrap();
        assert_eq!(server.read(&mut [0; 9]).unwrap(), 0, "closed in order");
        pass(&mut server, &mut client, b"the other way");
        assert_eq!(proxy.struck(), 1);
    }

    #[test]
    fn what_is_reset_is_so_at_both_ends() {
        let (proxy, mut client, mut server) = connected();
        proxy.fault(Fault::Reset(Way::Down, 0));
        server.write_all(b"nobody hears it").unwrap();
        for end in [&mut client, &mut server] {
            assert_eq!(end.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
        assert_eq!(proxy.struck(), 1);
    }

    #[test]
    fn an_end_in_order_passes_as_one() {
        let (_proxy, mut client, mut server) = connected();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.read(&mut [0; 9]).unwrap(), 0);
        pass(&mut server, &mut client, b"the other way");
        drop(server);
        assert_eq!(client.read(&mut [0; 9]).unwrap(), 0);
    }
}
