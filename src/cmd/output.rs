//! An output folder as the user gives it: a path, or a URL.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use batteuse_coordinator::journal::{self, State};
use batteuse_shared::location;
use batteuse_store::{Folder, Stores};

use crate::components;
use crate::exit::Stop;

/// An output folder, opened.
#[derive(Clone)]
pub struct OutputDir {
    /// The folder.
    pub folder: Arc<dyn Folder>,
    /// What opened it.
    pub stores: Arc<Stores>,
    /// As it is told: a path, or a URL.
    shown: String,
}

impl fmt::Display for OutputDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl OutputDir {
    /// The folder at `url`.
    ///
    /// # Errors
    /// When it names no folder, or its store refuses the settings.
    pub fn at(url: &str) -> Result<Self, Stop> {
        let stores = components::stores();
        let folder = stores.folder(url).map_err(Stop::refused)?;
        let shown = folder.place("").display().to_string();
        Ok(Self { folder, stores, shown })
    }

    /// The folder that `text` names: a URL, or a path from here.
    ///
    /// # Errors
    /// As [`OutputDir::at`].
    pub fn given(flag: &str, text: &Path) -> Result<Self, Stop> {
        Self::at(&url_of(text).with_context(|| flag.to_owned()).map_err(Stop::refused)?)
    }
}

/// The state store that `text` names, and its URL; `flag` is how it was given.
///
/// # Errors
/// When it names none.
pub fn state_given(flag: &str, text: &str, stores: &Stores) -> Result<(String, State), Stop> {
    let url = url_of(Path::new(text)).map_err(|error| refused(flag, text, error))?;
    let state = journal::state_at(&url, stores).map_err(|error| refused(flag, text, error.into()))?;
    Ok((url, state))
}

/// A refusal of a store that was given as `text`.
pub fn refused(flag: &str, text: &str, error: anyhow::Error) -> Stop {
    Stop::refused(error.context(format!("{flag} {}", location::shown(text))))
}

/// The URL of a folder that `text` names: itself, or of a path from here.
///
/// # Errors
/// When a path has no URL.
pub fn url_of(text: &Path) -> anyhow::Result<String> {
    if let Some(url) = text.to_str().filter(|text| text.contains("://")) {
        return Ok(url.to_owned());
    }
    let path = std::path::absolute(text).with_context(|| text.display().to_string())?;
    Ok(location::url_of_dir(&path)?)
}
