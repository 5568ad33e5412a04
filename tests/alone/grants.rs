//! The coordinator's end of a worker's stream, in a test's hands: it grants what the test wants and answers heartbeats.
//!
//! Invariant: the wire is the real one, and so is the worker; only who decides is not. It is there for tasks that no scheduler hands out
//! at a test's word.

use std::pin::Pin;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use batteuse_proto::v1::worker_service_server::{WorkerService, WorkerServiceServer};
use batteuse_proto::v1::{CoordinatorMessage, WorkerMessage};
use batteuse_proto::{CoordinatorSays, PROTOCOL, WorkerSays};
use batteuse_shared::ids::AttemptId;
use batteuse_shared::task::Outcome;
use futures::{Stream, StreamExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::UnboundedSender;
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::{Request, Response, Status, Streaming};

/// How long a worker may take to say something that a test waits for.
const DEADLINE: Duration = Duration::from_secs(120);

/// What the worker is told, on the stream there is.
type Told = UnboundedSender<CoordinatorSays>;

struct Service {
    streams: Mutex<Sender<Told>>,
    heard: Mutex<Sender<WorkerSays>>,
}

#[tonic::async_trait]
impl WorkerService for Service {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<CoordinatorMessage, Status>> + Send>>;

    async fn attach(&self, request: Request<Streaming<WorkerMessage>>) -> Result<Response<Self::AttachStream>, Status> {
        let (told, telling) = tokio::sync::mpsc::unbounded_channel();
        let heard = self.heard.lock().unwrap().clone();
        let mut incoming = request.into_inner();
        // With it heartbeats come each second; that none of them is answered in time no test waits for.
        let _ = told.send(CoordinatorSays::Welcome { protocol: PROTOCOL, lease_ttl_ms: 5_000 });
        let _ = self.streams.lock().unwrap().send(told.clone());
        tokio::spawn(async move {
            while let Ok(Some(message)) = incoming.message().await {
                let says = WorkerSays::try_from(message).unwrap();
                if let WorkerSays::Heartbeat { beat, .. } = says {
                    let _ = told.send(CoordinatorSays::Alive { beat });
                }
                let _ = heard.send(says);
            }
        });
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(telling).map(|says| Ok(says.into())))))
    }
}

/// See the module.
pub struct Grants {
    /// Where it listens.
    pub url: String,
    told: Mutex<Option<Told>>,
    streams: Receiver<Told>,
    heard: Receiver<WorkerSays>,
    _runtime: Runtime,
}

impl Grants {
    /// Listens on a free port.
    pub fn serve() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let ((opened, streams), (hears, heard)) = (channel(), channel());
        let service = Service { streams: Mutex::new(opened), heard: Mutex::new(hears) };
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tonic::transport::Server::builder().add_service(WorkerServiceServer::new(service));
        runtime.spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { url, told: Mutex::new(None), streams, heard, _runtime: runtime }
    }

    /// Waits for the worker.
    pub fn welcomed(&self) {
        *self.told.lock().unwrap() = Some(self.streams.recv_timeout(DEADLINE).expect("a worker comes"));
    }

    /// Tells the worker this.
    pub fn say(&self, says: CoordinatorSays) {
        self.told.lock().unwrap().as_ref().expect("a worker has come").send(says).expect("it is there");
    }

    /// Waits until it says something that `wanted` finds something in.
    pub fn hear<T>(&self, what: &str, mut wanted: impl FnMut(WorkerSays) -> Option<T>) -> T {
        loop {
            let says = self.heard.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("waited in vain for {what}"));
            if let Some(found) = wanted(says) {
                return found;
            }
        }
    }

    /// Waits for a report, and acknowledges it.
    pub fn report(&self) -> (AttemptId, Outcome) {
        let (run, attempt, outcome) = self.hear("a report", |says| match says {
            WorkerSays::Report { run, attempt, outcome } => Some((run, attempt, outcome)),
            _ => None,
        });
        self.say(CoordinatorSays::Ack { run, attempt });
        (attempt, outcome)
    }
}
