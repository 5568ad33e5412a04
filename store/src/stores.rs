//! From a URL to the folder it names.
//!
//! Invariant: what opens a store (keys, tokens, endpoints) is given once, as options, and told to nobody (NO-SECRET).

use std::str::FromStr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use batteuse_shared::limits::{STORE_RETRIES_MAX, STORE_RETRY_MS_MAX};
use batteuse_shared::location::{self, BadUrl, Scheme};
use object_store::ClientOptions;
use object_store::RetryConfig;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::{HttpConnector, ReqwestConnector};
use object_store::gcp::GoogleCloudStorageBuilder;
use url::Url;

use crate::bucket::{Client, Lister};
use crate::listing::ListingsChecked;
use crate::{Bucket, Disk, Folder, Waiter};

/// Why a URL was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It names no folder.
    #[error(transparent)]
    Url(#[from] BadUrl),
    /// The store's client refuses the settings.
    #[error("{url} cannot be opened: {error}: check the settings of the store (variables AWS_*, AZURE_*, GOOGLE_*)")]
    Settings {
        /// Which URL.
        url: String,
        /// Why.
        error: object_store::Error,
    },
    /// The runtime of the stores' clients cannot be started.
    #[error("the stores' clients cannot be started: {0}")]
    Runtime(std::io::Error),
}

/// Opens folders by their URLs.
pub struct Stores {
    /// Lower-case names of settings, and their values.
    options: Vec<(String, String)>,
    waiter: OnceLock<Waiter>,
    /// Clients by scheme and bucket: a client keeps its connections.
    clients: Mutex<Vec<(String, Client)>>,
}

impl Stores {
    /// With `options`, the settings of the stores as names and values (`AWS_REGION` and `aws_region` are one). Those that a store
    /// does not know are passed over.
    #[must_use]
    pub fn new(options: impl IntoIterator<Item = (String, String)>) -> Self {
        let options = options.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        Self { options, waiter: OnceLock::new(), clients: Mutex::new(Vec::new()) }
    }

    /// The folder at `url`: `file:///.../`, `s3://bucket/.../`, `gs://bucket/.../` or `az://container/.../`. It is not looked at.
    ///
    /// # Errors
    /// When `url` names no folder, or its store's client refuses the settings.
    pub fn folder(&self, url: &str) -> Result<Arc<dyn Folder>, OpenError> {
        let found = location::folder_of(url)?;
        if found.scheme == Scheme::File {
            return Ok(Arc::new(Disk::new(found.path)));
        }
        let client = self.client(url, found.scheme, &found.bucket)?;
        let prefix = found.path.to_string_lossy();
        Ok(Arc::new(Bucket::new(url, &prefix, client)))
    }

    fn client(&self, url: &str, scheme: Scheme, bucket: &str) -> Result<Client, OpenError> {
        let name = format!("{scheme:?}:{bucket}");
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = clients.iter().find(|(known, _)| *known == name) {
            return Ok(client.clone());
        }
        let runtime = self.waiter()?;
        let made = match scheme {
            Scheme::File => unreachable!("a folder on a disk has no client"),
            Scheme::S3 => self.s3_client(bucket, runtime),
            Scheme::Gcs => self.gcs(bucket).build().map(|store| Client::new(store, runtime)),
            Scheme::Azure => self.azure(bucket).build().map(|store| Client::new(store, runtime)),
        };
        let client = made.map_err(|error| OpenError::Settings { url: url.to_owned(), error })?;
        clients.push((name, client.clone()));
        Ok(client)
    }

    /// The value of a setting, by its name in lower case.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What the clients of stores work on, and may others that threads wait for.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn waiter(&self) -> Result<Waiter, OpenError> {
        if let Some(waiter) = self.waiter.get() {
            return Ok(waiter.clone());
        }
        let made = Waiter::start().map_err(OpenError::Runtime)?;
        Ok(self.waiter.get_or_init(|| made).clone())
    }

    /// The options that are this store's.
    fn known<'a, K: FromStr>(&'a self, prefix: &'a str) -> impl Iterator<Item = (K, &'a str)> {
        let own = self.options.iter().filter(move |(name, _)| name.starts_with(prefix));
        own.filter_map(|(name, value)| Some((name.parse().ok()?, value.as_str())))
    }

    fn s3(&self, bucket: &str) -> AmazonS3Builder {
        let builder = AmazonS3Builder::new().with_retry(retries()).with_http_connector(ListingsChecked);
        self.known("aws_")
            .fold(builder, |builder, (key, value)| builder.with_config(key, value))
            .with_bucket_name(bucket)
    }

    /// S3's client, and beside it what lists pending uploads, to the address that the client itself asks.
    fn s3_client(&self, bucket: &str, runtime: Waiter) -> Result<Client, object_store::Error> {
        let builder = self.s3(bucket);
        let known = |key| builder.get_config_value(&key);
        let region = known(AmazonS3ConfigKey::Region).unwrap_or_else(|| "us-east-1".to_owned());
        let hosted = known(AmazonS3ConfigKey::VirtualHostedStyleRequest).is_some_and(|value| value == "true");
        let endpoint = known(AmazonS3ConfigKey::S3Endpoint).or_else(|| known(AmazonS3ConfigKey::Endpoint));
        let base = match (&endpoint, hosted) {
            (Some(endpoint), true) => endpoint.clone(),
            (Some(endpoint), false) => format!("{}/{bucket}", endpoint.trim_end_matches('/')),
            (None, true) => format!("https://{bucket}.s3.{region}.amazonaws.com"),
            (None, false) => format!("https://s3.{region}.amazonaws.com/{bucket}"),
        };
        let options = ClientOptions::new().with_allow_http(base.starts_with("http://"));
        let http = ReqwestConnector::default().connect(&options)?;
        let store = Arc::new(builder.build()?);
        Ok(match Url::parse(&base) {
            Ok(bucket) => Client::listing(&store, Lister { store: store.clone(), http, bucket, region }, runtime),
            // The client will say what is wrong with the address.
            Err(_) => Client::new(Arc::unwrap_or_clone(store), runtime),
        })
    }

    fn gcs(&self, bucket: &str) -> GoogleCloudStorageBuilder {
        let builder = GoogleCloudStorageBuilder::new().with_retry(retries()).with_http_connector(ListingsChecked);
        let known = self.known("google_");
        known.fold(builder, |builder, (key, value)| builder.with_config(key, value)).with_bucket_name(bucket)
    }

    fn azure(&self, container: &str) -> MicrosoftAzureBuilder {
        let builder = MicrosoftAzureBuilder::new().with_retry(retries());
        let known = self.known("azure_");
        known.fold(builder, |builder, (key, value)| builder.with_config(key, value)).with_container_name(container)
    }
}

fn retries() -> RetryConfig {
    RetryConfig {
        max_retries: STORE_RETRIES_MAX,
        retry_timeout: Duration::from_millis(STORE_RETRY_MS_MAX),
        ..RetryConfig::default()
    }
}
