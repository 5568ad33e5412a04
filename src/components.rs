//! What the commands inject into the crates below: clock, names, runtime, logs, connections.
//!
//! Invariant: this is the only place that reads the wall clock, draws random ids or looks at the environment.
#![expect(clippy::disallowed_methods, reason = "the one place that is allowed to")]

use std::ffi::OsString;
use std::io::IsTerminal;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use batteuse_shared::ids::WorkerId;
use batteuse_shared::limits::CALL_MS_MAX;
use batteuse_shared::time::Millis;
use batteuse_store::Stores;
use batteuse_worker::agent::Dial;
use batteuse_worker::alone::Launch;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, watch};
use tonic::transport::{Channel, Endpoint};
use tracing_subscriber::EnvFilter;

use crate::chaos::Chaos;
use crate::exit::Stop;

/// Bytes in flight between the parts of an embedded run, each way.
const DUPLEX_BYTES: usize = 1 << 20;

/// Interval of HTTP/2 keepalive pings, and how long an answer may take.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// The signal of a write beyond the limit on file sizes, on Linux.
const SIGXFSZ: i32 = 25;

/// The wall clock as it was when this process first asked, and the time since: it never jumps, so no timer does.
pub fn now() -> Millis {
    static BEGAN: OnceLock<(Millis, Instant)> = OnceLock::new();
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let (wall, began) = BEGAN.get_or_init(|| {
        (Millis(millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())), Instant::now())
    });
    wall.plus(millis(began.elapsed()))
}

/// The wall clock itself, to be compared with another.
pub fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// A name for a run that sorts by time: 12 hex digits of milliseconds and 8 random ones.
pub fn run_suffix() -> String {
    let id = uuid::Uuid::now_v7().simple().to_string();
    format!("{}-{}", &id[..12], &id[24..])
}

/// A wait of `least` and up to half as much more, so that those who were sent away together do not come back together.
pub fn jittered(least: Duration) -> Duration {
    let share = (uuid::Uuid::new_v4().as_u128() % 1_000) as u32;
    least + least * share / 2_000
}

/// A name for this worker, unique to the process.
pub fn worker_id() -> WorkerId {
    let id = uuid::Uuid::new_v4().simple().to_string();
    WorkerId::new(&format!("worker-{}", &id[..12])).expect("hexadecimal digits are valid in a worker id")
}

/// A name for this process in the journal.
pub fn writer() -> uuid::Uuid {
    uuid::Uuid::new_v4()
}

/// Opens output and state folders; the settings of object stores come from the environment.
pub fn stores() -> Arc<Stores> {
    const PREFIXES: [&str; 4] = ["AWS_", "AZURE_", "GOOGLE_", "PG"];
    let settings =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Arc::new(Stores::new(settings.filter(|(name, _)| PREFIXES.iter().any(|prefix| name.starts_with(prefix)))))
}

/// One per core.
pub fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, NonZero::get).try_into().unwrap_or(1)
}

/// Lets this process hold as many files open as the system allows it: attempts that write into folders hold many.
fn open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let allowed = getrlimit(Resource::Nofile);
    // Where it is refused, what was allowed before is enough for most runs.
    _ = setrlimit(Resource::Nofile, Rlimit { current: allowed.maximum, ..allowed });
}

/// The runtime of everything asynchronous: one thread, which only passes on what is said. What computes or waits has threads of its
/// own, and two that wake each other for every message cost more than they bring.
pub fn runtime() -> Result<tokio::runtime::Runtime, Stop> {
    open_files();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the asynchronous runtime cannot be started")
        .map_err(Stop::unreachable)
}

/// This very program, even if another has taken its place on disk since it was started.
fn program() -> PathBuf {
    let own = Path::new("/proc/self/exe");
    if own.exists() { own.to_owned() } else { std::env::current_exe().unwrap_or_default() }
}

/// How a process for one attempt alone is started: with at most so many bytes of memory, and what its bytes do by chaos.
pub fn launch(memory_bytes: Option<u64>, chaos: Option<&Chaos>) -> Launch {
    let mut args: Vec<OsString> = vec!["attempt".into()];
    args.extend(memory_bytes.into_iter().flat_map(|bytes| ["--memory".into(), bytes.to_string().into()]));
    args.extend(chaos.and_then(Chaos::of_bytes).into_iter().flat_map(|poison| ["--chaos".into(), poison.into()]));
    Launch { program: program(), args }
}

/// Has this process killed when the thread that started it ends. Only Linux does that; elsewhere the end of its input must tell it.
pub fn die_with_parent() {
    #[cfg(target_os = "linux")]
    {
        // Where it is refused the end of its input tells it too.
        _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    }
}

/// Lets this process ask for at most so many bytes of memory that it can write to. Not of address space: of that threads and allocators
/// set much aside that is never used, 64 MiB for each thread in glibc. Who is refused memory aborts.
pub fn limit_memory(bytes: u64) -> Result<(), Stop> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let allowed = getrlimit(Resource::Data);
    let current = allowed.maximum.map_or(bytes, |most| most.min(bytes));
    let limited = setrlimit(Resource::Data, Rlimit { current: Some(current), ..allowed });
    limited.context("the memory of this process cannot be limited").map_err(Stop::unreachable)
}

/// Ends this process as kill -9 does: nothing is cleaned up.
pub fn die() -> ! {
    _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    // The first process of a container cannot be killed from inside.
    std::process::abort()
}

/// Stops all of this process, as a machine that hangs, and has it go on after `time`.
pub fn stand_still(time: Duration) {
    use rustix::process::{Signal, getpid, kill_process};
    let mut wake = Command::new(program());
    wake.args(["wake", "--after", &time.as_millis().to_string()]).stdin(Stdio::null()).stdout(Stdio::null());
    match wake.spawn() {
        Ok(mut wakes) => {
            _ = kill_process(getpid(), Signal::STOP);
            _ = wakes.wait();
        }
        Err(error) => tracing::warn!(%error, "nobody would wake this process: it does not stop"),
    }
}

/// Has whoever started this process go on after `time`, if it has stopped.
pub fn wake_parent(time: Duration) {
    wait(time);
    if let Some(parent) = rustix::process::getppid() {
        _ = rustix::process::kill_process(parent, rustix::process::Signal::CONT);
    }
}

/// Waits, and has this thread do nothing meanwhile.
pub fn wait(time: Duration) {
    std::thread::sleep(time);
}

/// Logs on standard error: for people on a terminal, JSON lines when piped. `BATTEUSE_LOG` filters.
pub fn logs(default: &str) {
    let filter = EnvFilter::try_from_env("BATTEUSE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        logs.init();
    } else {
        logs.json().flatten_event(true).init();
    }
}

/// Turns true at the first Ctrl-C or SIGTERM; the second one ends the process at once.
pub fn stop_signal() -> Result<watch::Receiver<bool>, Stop> {
    let (stop, stopped) = watch::channel(false);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .context("SIGTERM cannot be listened to")
        .map_err(Stop::unreachable)?;
    // Without somebody who listens, writing beyond a limit on file sizes ends the process; so it is an error like a full disk.
    let limit = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(SIGXFSZ));
    let limit = limit.context("SIGXFSZ cannot be listened to").map_err(Stop::unreachable)?;
    tokio::spawn(async move {
        let _kept = limit;
        loop {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            if stop.send_replace(true) {
                std::process::exit(130);
            }
        }
    });
    Ok(stopped)
}

/// Lets nothing happen at signals that are meant for the worker which this process belongs to: a terminal and a service's supervisor send
/// them to both. Listening once is enough.
pub async fn pass_signals() -> Result<(), Stop> {
    use tokio::signal::unix::{SignalKind, signal};
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::from_raw(SIGXFSZ)] {
        drop(signal(kind).context("signals cannot be listened to").map_err(Stop::unreachable)?);
    }
    Ok(())
}

/// A connection to `url`, which names a coordinator: `http://HOST:PORT`.
fn endpoint(url: &str) -> Result<Endpoint, Stop> {
    let bad = || Stop::refused(anyhow!("--coordinator {url}: give an address such as http://127.0.0.1:7171"));
    let parsed = url::Url::parse(url).map_err(|_| bad())?;
    if parsed.scheme() != "http" || parsed.host_str().is_none() {
        return Err(bad());
    }
    Ok(Endpoint::from_shared(url.to_owned())
        .map_err(|_| bad())?
        .connect_timeout(Duration::from_millis(CALL_MS_MAX))
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true))
}

/// A connection for unary calls of an operator.
pub async fn connect(url: &str) -> Result<Channel, Stop> {
    let no = || format!("the coordinator at {url} cannot be reached: is it running, and is this its address?");
    let endpoint = endpoint(url)?;
    endpoint.connect().await.with_context(no).map_err(Stop::unreachable)
}

/// Connections of a worker over TCP: to each of these coordinators in turn, since one that waits to lead refuses.
pub fn dial_tcp(urls: &[String]) -> Result<Dial, Stop> {
    let endpoints = urls.iter().map(|url| endpoint(url)).collect::<Result<Vec<_>, _>>()?;
    let turn = AtomicUsize::new(0);
    Ok(Arc::new(move || {
        // A clone has no connection yet: the name is resolved anew each time.
        let endpoint = endpoints[turn.fetch_add(1, Ordering::Relaxed) % endpoints.len()].clone();
        Box::pin(async move { endpoint.connect().await })
    }))
}

/// Connections inside this process, and their other ends.
pub fn dial_inside() -> (Dial, mpsc::Receiver<std::io::Result<DuplexStream>>) {
    let (accept, accepted) = mpsc::channel(1);
    let dial: Dial = Arc::new(move || {
        let accept = accept.clone();
        let connector = tower::service_fn(move |_| {
            let accept = accept.clone();
            async move {
                let (here, there) = tokio::io::duplex(DUPLEX_BYTES);
                let gone = |_| std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
                accept.send(Ok(there)).await.map_err(gone)?;
                Ok::<_, std::io::Error>(TokioIo::new(here))
            }
        });
        Box::pin(async move { Endpoint::from_static("http://inside").connect_with_connector(connector).await })
    });
    (dial, accepted)
}
