//! How soon somebody at another server knows a whole room, once a link leads there.

use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::Url;

use crate::driver::Driver;
use crate::participant::{Participant, Server, Session};
use crate::run::{Options, local_address};
use crate::socket::Connector;

/// Said when all are there: the link may be made.
pub const THERE: &str = "all are there";
/// Said at the moment at which the witness knows all of them.
pub const KNOWN: &str = "all are known";

/// How long they may take to be there and to be known.
const PATIENCE: Duration = Duration::from_secs(120);

/// Lets the plan's subscribers join one server, without media, and one more the other server, in
/// the same room. `say` gets [`THERE`] and [`KNOWN`]; in between somebody else has to link the
/// servers.
///
/// # Errors
///
/// Somebody cannot join or is sent away, or the witness does not know all of them within two minutes.
pub async fn run(options: &Options, say: impl Fn(&str)) -> anyhow::Result<()> {
    let there = options.watch_url.as_ref().context("a witness where?")?;
    let server = |url: &Url| -> anyhow::Result<Server> {
        Ok(Server {
            connector: Connector::new(url.clone(), options.insecure)?,
            key: options.key.clone(),
        })
    };
    let (here, there) = (server(&options.url)?, server(there)?);
    // A session has one, even if it opens no connection.
    let driver = Driver::start(local_address(&options.url)?, options.loss)?;
    let (crowd, witness) = people(options);
    let mut witness = Session::join(&there, witness, driver.clone())
        .await
        .context("the witness")?;
    let leave = watch::Sender::new(false);
    let (arrived, mut arrivals) = mpsc::channel(crowd.len().max(1));
    let mut sessions = JoinSet::new();
    let count = crowd.len();
    let gather = async {
        let spacing = options.plan.join_within / (count.max(1) as u32);
        for who in crowd {
            let (here, driver) = (here.clone(), driver.clone());
            sessions.spawn(stay(here, who, driver, arrived.clone(), leave.subscribe()));
            tokio::time::sleep(spacing).await;
        }
        drop(arrived);
        for _ in 0..count {
            if arrivals.recv().await.is_none() {
                bail!("somebody could not join: {:?}", sessions.join_next().await);
            }
        }
        // Those who came first have been told of those who came last.
        tokio::time::sleep(options.warm_up).await;
        say(THERE);
        Ok(())
    };
    let meet = async {
        witness.meet(count).await?;
        say(KNOWN);
        Ok(())
    };
    timeout(PATIENCE, async { tokio::try_join!(gather, meet) })
        .await
        .context("they are not there or not known")??;
    // Nobody listens when all have gone already.
    let _ = leave.send(true);
    let all = async { while sessions.join_next().await.is_some() {} };
    // Whoever cannot say goodbye in time is cut off.
    let _ = timeout(Duration::from_secs(5), all).await;
    witness.leave().await;
    Ok(())
}

/// Those who are to be known, and who is to know them.
fn people(options: &Options) -> (Vec<Participant>, Participant) {
    let crowd = options.plan.subscribers(&options.room).into_iter();
    let crowd = crowd.map(|who| Participant {
        subscribes: false,
        ..who
    });
    let witness = Participant {
        number: u32::MAX,
        identity: "witness".to_owned(),
        room: options.room.clone(),
        tracks: Vec::new(),
        subscribes: false,
        quality: None,
    };
    (crowd.collect(), witness)
}

async fn stay(
    server: Server,
    who: Participant,
    driver: Driver,
    arrived: mpsc::Sender<()>,
    mut leave: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let identity = who.identity.clone();
    let mut session = Session::join(&server, who, driver)
        .await
        .context(identity)?;
    // There is room for all of them.
    let _ = arrived.try_send(());
    // Held no longer: that all are gone shows whether some have failed.
    drop(arrived);
    tokio::select! {
        result = session.serve_without_media() => return result,
        // The sender is gone only when the run is over.
        _ = leave.wait_for(|leave| *leave) => {}
    }
    session.leave().await;
    Ok(())
}
