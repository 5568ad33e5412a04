//! A request of our own to a server, where the clients of `object_store` offer none: to make a bucket, to ask whether it is up.
//!
//! Invariant: it is performed on a thread and a runtime of its own, so it may be made from anywhere, async tests included.

use std::time::Duration;

use object_store::ClientOptions;
use object_store::client::{HttpConnector, HttpError, HttpRequest, HttpRequestBody, ReqwestConnector};

/// How long a server may take to answer one. A server that is starting may leave one hanging that it would answer later.
const PATIENCE: Duration = Duration::from_secs(2);

/// A request, not signed yet.
pub fn request(method: &str, url: &str, body: &'static str) -> HttpRequest {
    let mut request = HttpRequest::new(HttpRequestBody::from(body.to_owned()));
    *request.method_mut() = method.parse().unwrap();
    *request.uri_mut() = url.parse().unwrap();
    request
}

/// Sends it: the status and the text of the answer.
pub fn send(request: HttpRequest) -> Result<(u16, String), String> {
    let perform = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(exchange(request)).map_err(|e| format!("{e:?}"))
    };
    std::thread::scope(|scope| scope.spawn(perform).join().unwrap())
}

async fn exchange(request: HttpRequest) -> Result<(u16, String), HttpError> {
    let options = ClientOptions::new().with_allow_http(true).with_timeout(PATIENCE).with_connect_timeout(PATIENCE);
    let client = ReqwestConnector::default().connect(&options).unwrap();
    let answer = client.execute(request).await?;
    let status = answer.status().as_u16();
    let text = answer.into_body().bytes().await?;
    Ok((status, String::from_utf8_lossy(&text).into_owned()))
}

/// As [`send`], of a request that must be answered with one of `statuses`.
pub fn expect(request: HttpRequest, statuses: &[u16]) -> Result<(), String> {
    let what = format!("{} {}", request.method(), request.uri());
    let (status, text) = send(request)?;
    if statuses.contains(&status) { Ok(()) } else { Err(format!("{what}: {status} {text}")) }
}
