//! The uploads to an S3 bucket that nobody has completed or aborted: the one request that the store's client does not offer.
//!
//! Invariant: it only reads. Stores that let uploads run out by themselves (Azure) have no such list.
//! Source: Amazon S3 API Reference, `ListMultipartUploads`.

use std::sync::Arc;

use batteuse_shared::limits::{FAILURE_MESSAGE_BYTES_MAX, PENDING_UPLOADS_MAX};
use object_store::aws::{AmazonS3, AwsAuthorizer};
use object_store::client::{HttpClient, HttpRequest, HttpRequestBody};
use serde::Deserialize;
use url::Url;

/// Why the uploads were not listed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PendingError {
    /// The keys could not be had.
    #[error("no keys to sign with: {0}")]
    Keys(object_store::Error),
    /// The store did not answer.
    #[error("{0}")]
    Http(object_store::client::HttpError),
    /// The store refused.
    #[error("the store answers {status} to ListMultipartUploads: {text}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it said.
        text: String,
    },
    /// The answer is not what the API promises.
    #[error("the store's answer cannot be read: {0}")]
    Answer(quick_xml::DeError),
    /// Something else came as success.
    #[error("the store answers ListMultipartUploads with something else")]
    NoList,
    /// More than anybody leaves behind.
    #[error("more than {PENDING_UPLOADS_MAX} uploads are pending")]
    TooMany,
}

/// One upload.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Pending {
    /// Key in the bucket.
    pub(crate) key: String,
    /// The store's name for it.
    pub(crate) upload_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default, rename = "Upload")]
    uploads: Vec<Pending>,
    #[serde(default)]
    is_truncated: bool,
    #[serde(default)]
    next_key_marker: String,
    #[serde(default)]
    next_upload_id_marker: String,
}

/// Asks a bucket for its pending uploads.
pub(crate) struct Lister {
    pub(crate) store: Arc<AmazonS3>,
    pub(crate) http: HttpClient,
    /// URL of the bucket.
    pub(crate) bucket: Url,
    pub(crate) region: String,
}

impl Lister {
    /// The uploads to keys that begin with `prefix`.
    pub(crate) async fn pending(&self, prefix: &str) -> Result<Vec<Pending>, PendingError> {
        let (mut found, mut markers) = (Vec::new(), None);
        loop {
            let page = self.page(prefix, markers.as_ref()).await?;
            let after = Some((page.next_key_marker, page.next_upload_id_marker));
            if page.is_truncated && (page.uploads.is_empty() || after == markers) {
                return Err(PendingError::NoList);
            }
            found.extend(page.uploads);
            if found.len() > PENDING_UPLOADS_MAX {
                return Err(PendingError::TooMany);
            }
            if !page.is_truncated {
                return Ok(found);
            }
            markers = after;
        }
    }

    async fn page(&self, prefix: &str, after: Option<&(String, String)>) -> Result<Page, PendingError> {
        let mut url = self.bucket.clone();
        url.query_pairs_mut().append_pair("uploads", "").append_pair("prefix", prefix);
        if let Some((key, id)) = after {
            url.query_pairs_mut().append_pair("key-marker", key).append_pair("upload-id-marker", id);
        }
        // A space is %20 in a signature, and `+` in a form.
        let query = url.query().unwrap_or_default().replace('+', "%20");
        url.set_query(Some(&query));
        let keys = self.store.credentials().get_credential().await.map_err(PendingError::Keys)?;
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = url.as_str().parse().expect("a URL is a URI");
        AwsAuthorizer::new(&keys, "s3", &self.region).authorize(&mut request, None);
        let answer = self.http.execute(request).await.map_err(PendingError::Http)?;
        let status = answer.status();
        let body = answer.into_body().bytes().await.map_err(PendingError::Http)?;
        if !status.is_success() {
            let mut text = String::from_utf8_lossy(&body).into_owned();
            text.truncate(text.floor_char_boundary(FAILURE_MESSAGE_BYTES_MAX));
            return Err(PendingError::Refused { status: status.as_u16(), text });
        }
        read(&body)
    }
}

/// The root element of the answer: what else comes as success is none.
const ROOT: &[u8] = b"<ListMultipartUploadsResult";

fn read(body: &[u8]) -> Result<Page, PendingError> {
    if !body.windows(ROOT.len()).any(|window| window == ROOT) {
        return Err(PendingError::NoList);
    }
    quick_xml::de::from_reader(body).map_err(PendingError::Answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_with_and_without_uploads() {
        let none =
            br#"<?xml version="1.0"?><ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
            <Bucket>b</Bucket><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"#;
        let page = read(none).unwrap();
        assert!(page.uploads.is_empty() && !page.is_truncated);
        let two = br#"<ListMultipartUploadsResult><Bucket>b</Bucket><NextKeyMarker>k2</NextKeyMarker>
            <NextUploadIdMarker>u2</NextUploadIdMarker><IsTruncated>true</IsTruncated>
            <Upload><Key>a &amp; b</Key><UploadId>u1</UploadId><Initiated>2026-01-01T00:00:00Z</Initiated></Upload>
            <Upload><Key>k2</Key><UploadId>u2</UploadId></Upload></ListMultipartUploadsResult>"#;
        let page = read(two).unwrap();
        let pending = |key: &str, id: &str| Pending { key: key.to_owned(), upload_id: id.to_owned() };
        assert_eq!(page.uploads, [pending("a & b", "u1"), pending("k2", "u2")]);
        assert_eq!((page.is_truncated, page.next_key_marker.as_str()), (true, "k2"));
        for other in [b"<html></html>".as_slice(), b"", b"<Error><Code>InternalError</Code></Error>"] {
            assert!(matches!(read(other), Err(PendingError::NoList)));
        }
        assert!(matches!(read(b"<ListMultipartUploadsResult><Upload>"), Err(PendingError::Answer(_))));
    }
}
