//! What servers that speak S3 have in common: keys, an environment, buckets.

use object_store::aws::{AwsAuthorizer, AwsCredential};

use super::place::Place;
use super::{pairs, request};

pub const REGION: &str = "us-east-1";

/// The one account of a server.
pub struct Keys {
    pub id: &'static str,
    pub secret: &'static str,
}

impl Keys {
    /// What an S3 client reads from its environment.
    pub fn env(&self, endpoint: &str) -> Vec<(String, String)> {
        pairs([
            ("AWS_ACCESS_KEY_ID", self.id),
            ("AWS_SECRET_ACCESS_KEY", self.secret),
            ("AWS_ENDPOINT", endpoint),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", REGION),
        ])
    }

    /// Makes a bucket; that it is there already is as well. Its URL.
    pub fn bucket(&self, place: &Place, name: &str) -> Result<String, String> {
        self.put(place, name, "", &[200, 409])?;
        Ok(format!("s3://{name}/"))
    }

    /// A signed PUT.
    pub fn put(&self, place: &Place, path: &str, body: &'static str, statuses: &[u16]) -> Result<(), String> {
        let credential = AwsCredential { key_id: self.id.to_owned(), secret_key: self.secret.to_owned(), token: None };
        let mut put = request::request("PUT", &format!("{}/{path}", place.endpoint()), body);
        AwsAuthorizer::new(&credential, "s3", REGION).authorize(&mut put, None);
        request::expect(put, statuses)
    }
}
