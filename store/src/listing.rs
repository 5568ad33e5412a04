//! The transport of the clients that ask for listings as S3 does: what comes as one is one.
//!
//! Invariant: an answer of success to a request for a listing holds a listing, or is passed on as a failure of the server, which
//! the client tries again. Without this the client finds no names in any other document (an error that comes as success, the page
//! of a proxy), and a folder would seem empty, a journal without slots. All other requests pass as they are.

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};

/// The root element of a listing.
const ROOT: &[u8] = b"<ListBucketResult";

/// What a gateway answers that got nothing sound from behind it.
const BAD_GATEWAY: u16 = 502;

/// Makes transports that check listings.
#[derive(Debug)]
pub(crate) struct ListingsChecked;

impl HttpConnector for ListingsChecked {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Checking(ReqwestConnector::default().connect(options)?)))
    }
}

#[derive(Debug)]
struct Checking(HttpClient);

#[async_trait]
impl HttpService for Checking {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let asked = request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "list-type=2"));
        let answer = self.0.execute(request).await?;
        if !asked || !answer.status().is_success() {
            return Ok(answer);
        }
        let (mut head, body) = answer.into_parts();
        let body = body.bytes().await?;
        if !body.windows(ROOT.len()).any(|window| window == ROOT) {
            head.status = BAD_GATEWAY.try_into().expect("it is a status");
        }
        Ok(HttpResponse::from_parts(head, body.into()))
    }
}
