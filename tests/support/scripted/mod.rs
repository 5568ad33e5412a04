//! A scripted S3 server: the real protocol over loopback, before objects in memory, that does wrong what a test tells it to.
//!
//! Invariant: every fault of the script strikes, or the test fails when the server is dropped. What it answers without a fault is
//! what S3 answers; requests are signed and the signatures are checked. It is no measure of how real stores behave: `servers` are.

mod script;
mod shelves;

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::ops::Range;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError, HttpResponse};
use tokio::sync::{oneshot, watch};
use url::form_urlencoded;

use self::script::Script;
pub use self::script::{BUSY, Call, EVER, Fault, Op, done_but, refused};
use self::shelves::Shelves;

const KEY: &str = "scripted";
const SECRET: &str = "scripted-and-secret";
const BUCKET: &str = "grain";

/// What came before a connection breaks is on its way by then.
const BREAK_AFTER: Duration = Duration::from_millis(20);

/// A running server.
pub struct Scripted {
    port: u16,
    shelves: Shelves,
    script: Script,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Scripted {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (shelves, script) = (Shelves::default(), Script::default());
        let mut builder = S3ServiceBuilder::new(shelves.clone());
        builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let service = builder.build();
        let desk = Desk { service, shelves: shelves.clone(), script: script.clone(), waiting: watch::Sender::new(0) };
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = desk.serve(listener) => {}
                    _ = stopped => {}
                }
            });
        };
        Self { port, shelves, script, stop: Some(stop), thread: Some(std::thread::spawn(serve)) }
    }

    /// The bucket's URL.
    pub fn url(&self) -> String {
        format!("s3://{BUCKET}/")
    }

    /// What an S3 client reads from its environment.
    pub fn env(&self) -> Vec<(String, String)> {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        let pairs = [
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_ENDPOINT", &endpoint),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
        ];
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    /// Adds a fault, see [`Script::rule`].
    pub fn fault(&self, op: Op, key: &str, calls: Range<usize>, fault: Fault) {
        self.script.rule(op, key, calls, fault);
    }

    /// Ends all faults; each must have struck.
    #[track_caller]
    pub fn heal(&self) {
        self.script.close();
    }

    /// What it was asked so far.
    pub fn log(&self) -> Vec<Call> {
        self.script.log()
    }

    /// How often `op` was asked of keys that hold `key`.
    pub fn count(&self, op: Op, key: &str) -> usize {
        self.log().iter().filter(|call| call.op == op && call.key.contains(key)).count()
    }

    /// Nothing was ever asked to be deleted or aborted.
    #[track_caller]
    pub fn must_have_removed_nothing(&self) {
        let removal = |call: &Call| matches!(call.op, Op::Delete | Op::DeleteMany | Op::Abort);
        let removals: Vec<Call> = self.log().into_iter().filter(removal).collect();
        assert_eq!(removals, [], "UNKNOWN-IS-NOT-FAILED");
    }

    /// All objects.
    pub fn objects(&self) -> BTreeMap<String, Bytes> {
        self.shelves.lock().objects.clone()
    }

    /// Ids and keys of the uploads that were begun, and neither completed nor aborted.
    pub fn uploads(&self) -> Vec<(String, String)> {
        self.shelves.lock().uploads.iter().map(|(id, (key, _))| (id.clone(), key.clone())).collect()
    }

    /// Another writer makes, or replaces, an object.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        self.shelves.lock().objects.insert(key.to_owned(), Bytes::copy_from_slice(bytes));
    }

    /// An object is lost.
    pub fn lose(&self, key: &str) {
        assert!(self.shelves.lock().objects.remove(key).is_some(), "{key}");
    }

    /// An object rots: one bit of it is flipped.
    pub fn rot(&self, key: &str, byte: usize, bit: u32) {
        let mut kept = self.shelves.lock();
        let object = kept.objects.get_mut(key).unwrap();
        let mut bytes = object.to_vec();
        bytes[byte] ^= 1 << bit;
        *object = bytes.into();
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().expect("the server did not die");
            self.script.close();
        }
    }
}

/// Where requests come in.
#[derive(Clone)]
struct Desk {
    service: S3Service,
    shelves: Shelves,
    script: Script,
    /// Calls that wait for others.
    waiting: watch::Sender<usize>,
}

impl Desk {
    async fn serve(self, listener: tokio::net::TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let desk = self.clone();
            let answer = service_fn(move |request| {
                let desk = desk.clone();
                async move { desk.answer(request).await }
            });
            // A fault that breaks the connection ends it with an error; so does a client that goes.
            tokio::spawn(async move {
                drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await)
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<HttpResponse, HttpError> {
        let (op, key) = asked(&request);
        // All of it is read first: a client that is still sending would hear nothing.
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|error| HttpError::new(Box::new(error)))?.to_bytes();
        let request = Request::from_parts(head, Body::from(body));
        let fault = self.script.next(op, &key);
        if let Some(Fault::Expire) = fault {
            self.shelves.lock().uploads.retain(|_, (of, _)| *of != key);
        }
        if let Some(Fault::Overtake(bytes)) = fault {
            self.shelves.lock().objects.insert(key, Bytes::from_static(bytes));
        }
        match fault {
            None | Some(Fault::Expire | Fault::Overtake(_)) => self.service.call(request).await,
            Some(Fault::Together(wanted)) => {
                self.waiting.send_modify(|waiting| *waiting += 1);
                let met = self.waiting.subscribe().wait_for(|waiting| *waiting >= wanted).await.map(drop);
                met.map_err(|error| HttpError::new(Box::new(error)))?;
                self.service.call(request).await
            }
            Some(Fault::Reply { applied, status, code }) => {
                self.apply(applied, request).await?;
                Ok(error(status, code))
            }
            Some(Fault::Close { applied }) => {
                self.apply(applied, request).await?;
                Err(HttpError::new("the script closes the connection".into()))
            }
            Some(Fault::Cut(bytes)) => {
                Ok(altered(self.service.call(request).await?, |body| broken(&body, bytes)).await)
            }
            Some(Fault::Short(bytes)) => {
                Ok(altered(self.service.call(request).await?, |body| whole(body.slice(..bytes))).await)
            }
            Some(Fault::Flip(byte)) => {
                let flip = |body: Bytes| {
                    let mut body = body.to_vec();
                    body[byte] ^= 1;
                    whole(body.into())
                };
                Ok(altered(self.service.call(request).await?, flip).await)
            }
        }
    }

    async fn apply(&self, applied: bool, request: Request<Body>) -> Result<(), HttpError> {
        if applied {
            let answer = self.service.call(request).await?;
            assert!(answer.status().is_success(), "what is to be applied is refused: {answer:?}");
        }
        Ok(())
    }
}

/// The operation that is asked for, and its key.
fn asked(request: &Request<Incoming>) -> (Op, String) {
    let asked = |name: &str| {
        let mut pairs = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let key = request.uri().path().trim_start_matches('/').split_once('/').map_or("", |(_, key)| key);
    let op = match request.method() {
        &Method::GET if asked("list-type").is_some() => return (Op::List, asked("prefix").unwrap_or_default()),
        &Method::GET => Op::Get,
        &Method::HEAD => Op::Head,
        &Method::PUT if asked("partNumber").is_some() => Op::Part,
        &Method::PUT => Op::Put,
        &Method::POST if asked("uploads").is_some() => Op::Begin,
        &Method::POST if asked("delete").is_some() => Op::DeleteMany,
        &Method::POST => Op::Complete,
        &Method::DELETE if asked("uploadId").is_some() => Op::Abort,
        &Method::DELETE => Op::Delete,
        other => panic!("{other} is no method of S3"),
    };
    (op, key.to_owned())
}

fn error(status: u16, code: &str) -> HttpResponse {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>as scripted</Message></Error>"
    );
    Response::builder().status(status).header(CONTENT_TYPE, "application/xml").body(Body::from(text)).unwrap()
}

/// The answer with another body, and its length.
async fn altered(answer: HttpResponse, alter: impl FnOnce(Bytes) -> (usize, Body)) -> HttpResponse {
    assert!(answer.status().is_success(), "what is to be altered is refused: {answer:?}");
    let (mut head, body) = answer.into_parts();
    let (bytes, body) = alter(BodyExt::collect(body).await.unwrap().to_bytes());
    head.headers.insert(CONTENT_LENGTH, bytes.into());
    Response::from_parts(head, body)
}

fn whole(bytes: Bytes) -> (usize, Body) {
    (bytes.len(), Body::from(bytes))
}

/// Of a body the first bytes, and then an error, for which the connection is closed.
fn broken(body: &Bytes, bytes: usize) -> (usize, Body) {
    let first = stream::iter([Ok(Frame::data(body.slice(..bytes)))]);
    let then = stream::once(async {
        tokio::time::sleep(BREAK_AFTER).await;
        Err(io::Error::other("the script breaks the connection"))
    });
    (body.len(), Body::http_body_unsync(StreamBody::new(first.chain(then))))
}
