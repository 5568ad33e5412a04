//! A worker's stream that breaks while it is talked to.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use batteuse_coordinator::admit::{Admission, Ground, admit};
use batteuse_coordinator::driver::{Components, Driver, Handle, Input, Until};
use batteuse_coordinator::scheduler::Timing;
use batteuse_proto::CoordinatorSays;
use batteuse_shared::ids::WorkerId;
use batteuse_shared::layout;
use batteuse_shared::limits::{LEASE_TTL_MS_MAX, WORKER_QUEUE_MAX};
use batteuse_shared::task::Task;
use batteuse_shared::time::Millis;
use batteuse_store::Stores;
use tokio::sync::{mpsc, watch};

use super::life::{Scenario, Stage};
use super::{kept_in, state};

fn clock() -> Millis {
    Millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64)
}

/// Attaches a worker of one slot.
async fn attach(handle: &Handle, name: &str, stream: uuid::Uuid) -> mpsc::Receiver<CoordinatorSays> {
    let (sink, said) = mpsc::channel(WORKER_QUEUE_MAX);
    let worker = WorkerId::new(name).unwrap();
    handle.send(Input::Attached { worker, slots: 1, running: Vec::new(), sink, stream, number: 1 }).await;
    said
}

/// It is killed just when it is granted a lease: the grant finds nobody, and only then the end of its stream is told.
#[test]
fn who_is_gone_when_it_is_talked_to_has_left() {
    let stage = Stage::new(Scenario::Plain);
    let (dir, writer) = (stage.dir("broken"), uuid::Uuid::new_v4());
    let (kept, stores) = (kept_in(&state(&dir)), Arc::new(Stores::new([])));
    let ground = Ground {
        claimed_as: layout::EMBEDDED_STATE.to_owned(),
        state: kept.clone(),
        stores: stores.clone(),
        clock,
        writer,
    };
    let Ok(Admission::New(accepted)) = admit(stage.job(&dir), "request", &ground) else {
        panic!("a new run is admitted")
    };
    // Only that a stream is gone can take a lease away within the test's time.
    let timing = Timing::with_ttl(LEASE_TTL_MS_MAX);
    let (driver, handle) = Driver::new(Components { state: kept, stores, clock, writer, timing, probe: None });
    let (stop, stopped) = watch::channel(false);
    let story = async {
        let run = accepted.run.clone();
        handle.submit(*accepted).await.expect("the driver runs");
        let stream = uuid::Uuid::new_v4();
        drop(attach(&handle, "killed", stream).await);
        let leased = |glance: &batteuse_coordinator::scheduler::Status| glance.leases == 1;
        handle.statuses().wait_for(|all| all.get(&run).is_some_and(leased)).await.expect("the driver runs");
        handle.send(Input::Detached { worker: WorkerId::new("killed").unwrap(), stream }).await;
        let mut said = attach(&handle, "healthy", uuid::Uuid::new_v4()).await;
        let lease = loop {
            if let CoordinatorSays::Grant(lease) = said.recv().await.expect("the driver runs") {
                break lease;
            }
        };
        assert!(matches!(lease.task, Task::Inspect(_)), "{lease:?}");
        stop.send_replace(true);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let both = async { tokio::join!(driver.run(Until::SteppedDown, stopped), story) };
    let told = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), both).await });
    let (ended, ()) = told.expect("what it had is leased again");
    ended.unwrap();
}
