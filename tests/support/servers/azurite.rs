//! Azurite: Azure's blob storage as its makers emulate it.
//!
//! It keeps what it knows of its blobs in memory and saves it every few seconds; `preload.js` makes it save before it
//! answers.

use std::fs;
use std::process::Command;

use object_store::azure::{AzureAccessKey, AzureAuthorizer, AzureCredential};

use super::place::Place;
use super::{Recipe, Server, pairs, part, request};

const ACCOUNT: &str = "batteuse";
/// `threshed-by-batteuse` in base 64.
const KEY: &str = "dGhyZXNoZWQtYnktYmF0dGV1c2U=";

/// A running Azurite.
pub struct Azurite(Server);

impl Azurite {
    pub fn start() -> Self {
        Self(Server::start(Recipe { name: "Azurite", prepare, command, ask }))
    }

    /// `http://127.0.0.1:PORT/ACCOUNT`.
    pub fn endpoint(&self) -> String {
        endpoint(&self.0.place)
    }

    /// What a client of Azure's blobs reads from its environment.
    pub fn env(&self) -> Vec<(String, String)> {
        pairs([
            ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT),
            ("AZURE_STORAGE_ACCOUNT_KEY", KEY),
            ("AZURE_STORAGE_ENDPOINT", &self.endpoint()),
            ("AZURE_ALLOW_HTTP", "true"),
        ])
    }

    /// Makes a container, whose name has three characters or more: `az://NAME/`.
    pub fn container(&self, name: &str) -> String {
        send(&self.0.place, "PUT", &format!("/{name}?restype=container"), &[201, 409]).unwrap();
        format!("az://{name}/")
    }

    /// Kills it with SIGKILL.
    pub fn kill9(&mut self) {
        self.0.kill9();
    }

    /// Starts it again at the same address with the same files.
    pub fn restart(&mut self) {
        self.0.restart();
    }
}

fn endpoint(place: &Place) -> String {
    format!("{}/{ACCOUNT}", place.endpoint())
}

fn prepare(place: &Place) {
    fs::write(place.folder().join("preload.js"), include_str!("preload.js")).unwrap();
}

fn command(place: &Place) -> Command {
    let folder = place.folder();
    let mut command = Command::new(part("node/node"));
    command.current_dir(folder).env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{KEY}"));
    // It has hundreds of modules, whose compilation is half of its start.
    command.env("NODE_COMPILE_CACHE", part("node").join("compiled"));
    command.args(["--require", "./preload.js"]).arg(part("node/node_modules/azurite/dist/src/blob/main.js"));
    command.args(["--blobHost", "127.0.0.1", "--blobPort", &place.port(0).to_string(), "--location", "."]);
    command.args(["--silent", "--disableTelemetry"]);
    command
}

fn ask(place: &Place) -> Result<(), String> {
    send(place, "GET", "?comp=list", &[200])
}

/// A signed request.
fn send(place: &Place, method: &str, path: &str, statuses: &[u16]) -> Result<(), String> {
    let credential = AzureCredential::AccessKey(AzureAccessKey::try_new(KEY).unwrap());
    let mut request = request::request(method, &format!("{}{path}", endpoint(place)), "");
    AzureAuthorizer::new(&credential, ACCOUNT).authorize(&mut request);
    request::expect(request, statuses)
}
