//! The servers that other tests start: that each is what those tests take it for.
//!
//! Invariant: what is asked of a server here is asked through the clients that batteuse uses. Which of the stores are fit to hold
//! a journal is decided by one property, that of writers who all must create the same object exactly one does; so it is tried
//! with as many at once as are ever likely to meet.

mod azurite;
mod objects;
mod postgres;
mod s3rver;
mod seaweedfs;
